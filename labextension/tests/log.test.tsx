import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/preact';
import axe from 'axe-core';
import { useState } from 'react';
import { afterEach, expect, test, vi } from 'vitest';

import type { LogChunk } from '../src/shared/api';
import { plain, PLAIN, spans, styleAfter } from '../src/shared/details/ansi';
import { marked } from '../src/shared/details/LogLines';
import { LogText } from '../src/shared/details/logText';
import { LogView } from '../src/shared/details/LogView';
import { wholeLog, type ReadLog } from '../src/shared/details/useLog';

afterEach(cleanup);

test('colours, weights and what ends them', () => {
  expect(spans('a\x1b[1;31mb\x1b[39mc\x1b[0md\x1b[92;44me', PLAIN)).toEqual([
    { text: 'a', style: {} },
    { text: 'b', style: { bold: true, color: 1 } },
    { text: 'c', style: { bold: true, color: undefined } },
    { text: 'd', style: {} },
    { text: 'e', style: { color: 10, back: 4 } },
  ]);
});

test('256 colours and true colours', () => {
  const colour = (codes: string) => spans(`\x1b[${codes}mx`, PLAIN)[0]?.style.color;
  expect(colour('38;5;9')).toBe(9);
  expect(colour('38;5;208')).toBe('rgb(255 135 0)');
  expect(colour('38;5;244')).toBe('rgb(128 128 128)');
  expect(colour('38;2;1;2;3')).toBe('rgb(1 2 3)');
  expect(colour('38;2;999;x')).toBeUndefined();
  expect(colour('38;2;999')).toBe('rgb(255 0 0)');
});

test('all other escapes and control characters are left out', () => {
  const hostile =
    'a\x1b[2Jb\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07\x1b]0;title\x1b\\c\x00\x07d\x1bMe\x1b';
  expect(plain(hostile)).toBe('ablinkcde');
  expect(
    spans(hostile, PLAIN)
      .map((span) => span.text)
      .join(''),
  ).toBe('ablinkcde');
});

test('a look goes on in the next line', () => {
  const log = new LogText();
  log.append('\x1b[31mred\nstill red');
  log.append(' here\x1b[0m\nplain\n');
  expect(log.spans(1)[0]).toEqual({ text: 'still red here', style: { color: 1 } });
  expect(log.spans(2)).toEqual([{ text: 'plain', style: {} }]);
  expect(log.count).toBe(3);
  expect(styleAfter('x', { bold: true })).toEqual({ bold: true });
});

test('a carriage return begins the line anew, wherever the chunks are cut', () => {
  const log = new LogText();
  for (const part of ['10%\r2', '0%\r', '30', '%\r\ndone\r\n']) {
    log.append(part);
  }
  expect([log.plain(0), log.plain(1), log.count]).toEqual(['30%', 'done', 2]);
});

test('marks are cut out of the pieces, also across two of them', () => {
  const pieces = spans('one \x1b[1mTw\x1b[0mo two', PLAIN);
  expect(marked(pieces, 'two').map((piece) => [piece.text, piece.hit])).toEqual([
    ['one ', false],
    ['Tw', true],
    ['o', true],
    [' ', false],
    ['two', true],
  ]);
  expect(marked(pieces, '').every((piece) => !piece.hit)).toBe(true);
});

/** A log in memory, in chunks of `step` characters; `grow` makes it longer. */
function memory(text: string, step = 1_000_000, over = true) {
  const state = { text, over, asked: [] as [string, number][] };
  const read: ReadLog = (stage, offset) => {
    state.asked.push([stage, offset]);
    const part = state.text.slice(offset, offset + step);
    const next = offset + part.length;
    return Promise.resolve<LogChunk>({ text: part, next, eof: state.over && next === state.text.length });
  };
  return { state, read };
}

function View({ read }: { read: ReadLog }) {
  const [stage, setStage] = useState('');
  return (
    <LogView read={read} stages={['load', 'train']} stage={stage} onStage={setStage} name="r7" height={200} />
  );
}

const lines = (count: number) => Array.from({ length: count }, (_, n) => `line ${n + 1}`).join('\n') + '\n';
const drawn = () => [...document.querySelectorAll<HTMLElement>('[data-line]')];

test('a hundred thousand lines are a few dozen elements, found and shown at once', async () => {
  render(<View read={memory(lines(100_000)).read} />);
  await screen.findByText('100,000 lines');
  expect(drawn().length).toBeLessThan(80);
  fireEvent.input(screen.getByRole('searchbox'), { target: { value: 'LINE 54321' } });
  await screen.findByText('1 of 1');
  await waitFor(() => expect(document.querySelector('.nbp-line-now')?.textContent).toBe('line 54321'));
  expect([...document.querySelectorAll('mark')].map((mark) => mark.textContent)).toEqual(['line 54321']);
});

test('Enter goes to the next match and Shift+Enter back, around the end', async () => {
  render(<View read={memory('a\nb\na\na\n').read} />);
  await screen.findByText('4 lines');
  const field = screen.getByRole('searchbox');
  fireEvent.input(field, { target: { value: 'a' } });
  await screen.findByText('1 of 3');
  fireEvent.keyDown(field, { key: 'Enter', shiftKey: true });
  await screen.findByText('3 of 3');
  fireEvent.click(screen.getByRole('button', { name: 'next match' }));
  await screen.findByText('1 of 3');
  fireEvent.input(field, { target: { value: 'zz' } });
  await screen.findByText('nothing found');
});

test('chunks follow each other by offset, and what grows is read on', async () => {
  const { state, read } = memory('abc\ndef\n', 3, false);
  render(<View read={read} />);
  await screen.findByText('def');
  expect(state.asked.map(([, offset]) => offset).slice(0, 3)).toEqual([0, 3, 6]);
  expect(screen.getByText('following …')).toBeDefined();
  state.text += 'ghi\n';
  state.over = true;
  await screen.findByText('ghi', {}, { timeout: 3000 });
  await screen.findByText('3 lines');
});

test('each stage has its own log', async () => {
  const read: ReadLog = (stage) =>
    Promise.resolve({ text: `log of ${stage || 'all'}\n`, next: 9, eof: true });
  render(<View read={read} />);
  await screen.findByText('log of all');
  const choice = screen.getByLabelText<HTMLSelectElement>('stage');
  choice.value = 'train';
  fireEvent(choice, new Event('change', { bubbles: true }));
  await screen.findByText('log of train');
  expect(screen.queryByText('log of all')).toBeNull();
});

test('scrolling up ends following, scrolling to the end begins it again', async () => {
  render(<View read={memory(lines(500)).read} />);
  await screen.findByText('500 lines');
  const box = screen.getByRole('log');
  const follow = screen.getByLabelText<HTMLInputElement>('follow');
  expect(follow.checked).toBe(true);
  Object.defineProperty(box, 'scrollHeight', { value: 9000 });
  Object.defineProperty(box, 'clientHeight', { value: 200 });
  box.scrollTop = 900;
  fireEvent.scroll(box);
  await waitFor(() => expect(follow.checked).toBe(false));
  expect(drawn()[0]?.dataset['line']).toBe('31');
  box.scrollTop = 8800;
  fireEvent.scroll(box);
  await waitFor(() => expect(follow.checked).toBe(true));
  expect(box.getAttribute('aria-live')).toBe('off');
});

test('a log that cannot be read says why, and is asked again', async () => {
  const { read } = memory('fine\n');
  let broken = true;
  const moody: ReadLog = (stage, offset) =>
    broken ? Promise.reject(new Error('no server')) : read(stage, offset);
  render(<View read={moody} />);
  expect((await screen.findByRole('alert')).textContent).toContain('no server');
  broken = false;
  fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
  await screen.findByText('fine');
  expect(screen.queryByRole('alert')).toBeNull();
});

test('the download is the whole log, without escapes', async () => {
  const { read } = memory('a\x1b[31mb\x1b[0m\nc\n', 4);
  expect(await wholeLog(read, '')).toBe('a\x1b[31mb\x1b[0m\nc\n');
  const saved: Blob[] = [];
  const create = vi.fn((blob: Blob) => (saved.push(blob), 'blob:log'));
  vi.stubGlobal('URL', Object.assign(URL, { createObjectURL: create, revokeObjectURL: vi.fn() }));
  const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(() => undefined);
  render(<View read={read} />);
  fireEvent.click(screen.getByRole('button', { name: 'Download' }));
  await waitFor(() => expect(click).toHaveBeenCalled());
  expect(await saved[0]?.text()).toBe('ab\nc\n');
  click.mockRestore();
});

test('a log is text', async () => {
  const evil = '<img src=x onerror=alert(1)>\x1b[31m<script>alert(1)</script>\x1b[38;2;1;2;url(x)m';
  render(<View read={memory(`${evil}\n`).read} />);
  await screen.findByText('1 line');
  expect(document.querySelectorAll('img, script').length).toBe(0);
  expect(drawn()[0]?.textContent).toContain('<img src=x onerror=alert(1)><script>');
});

test('axe finds nothing in a log', async () => {
  render(<View read={memory(lines(50)).read} />);
  await screen.findByText('50 lines');
  fireEvent.input(screen.getByRole('searchbox'), { target: { value: '7' } });
  await screen.findByText('1 of 5');
  const found = await axe.run(document.body, { rules: { 'color-contrast': { enabled: false } } });
  expect(found.violations.map((violation) => violation.id)).toEqual([]);
});
