import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/preact';
import { afterEach, expect, test } from 'vitest';

import { DiffView } from '../src/shared/DiffView';
import { dataAddress } from '../src/shared/diff/OutputsPart';
import { Hunks, paired } from '../src/shared/diff/Hunks';
import { HistoryView } from '../src/shared/HistoryView';
import type { Column } from '../src/shared/columns';
import { HistoryStore } from '../src/shared/store';
import type { Diff } from '../src/shared/types';
import { cut, Widths } from '../src/shared/widths';
import { ENGLISH } from '../src/shared/words';
import { MemoryBackend, row } from './fakes';

afterEach(cleanup);

async function shown(backend = new MemoryBackend(20)) {
  const store = new HistoryStore(backend);
  render(<HistoryView store={store} />);
  await screen.findByText('r20');
  return { store, backend, grid: screen.getByRole('grid') };
}

function rowOf(run: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(`tr[data-run="${run}"][data-index]`);
  if (!found) {
    throw new Error(`no row of ${run}`);
  }
  return found;
}

test('ten thousand runs are a few dozen rows in the document', async () => {
  const store = new HistoryStore(new MemoryBackend(10_000));
  render(<HistoryView store={store} />);
  await screen.findByText('r10000');
  expect(document.querySelectorAll('tr').length).toBeLessThan(50);
  expect(screen.getByRole('grid').getAttribute('aria-rowcount')).toBe('10001');
});

test('keys move, check, open and compare', async () => {
  const { store } = await shown();
  rowOf('r20').focus();
  const press = (key: string) => fireEvent.keyDown(document.activeElement as Element, { key });
  press(' ');
  press('ArrowDown');
  await waitFor(() => expect(document.activeElement).toBe(rowOf('r19')));
  press(' ');
  expect(store.get().selected).toEqual(['r20', 'r19']);
  press('b');
  expect(store.get().baseline).toBe('r19');
  press('c');
  await screen.findByRole('region', { name: 'compared runs' });
  press('Enter');
});

test('against a baseline, metrics show how far they are and parameters that differ stand out', async () => {
  const { store } = await shown();
  store.setBaseline('r10');
  await waitFor(() => expect(rowOf('r20').textContent).toContain('▲ 0.1'));
  expect(rowOf('r20').querySelector('.nbp-differs')?.textContent).toBe('0.02');
  expect(rowOf('r10').querySelector('.nbp-delta')).toBeNull();
});

test('the buttons of a row stand under the pointer, and a mark that is set stays', async () => {
  const { store } = await shown();
  expect(screen.queryByLabelText('baseline r18')).toBeNull();
  fireEvent.mouseEnter(rowOf('r18'));
  screen.getByLabelText('check r18').focus();
  const star = await screen.findByLabelText('baseline r18');
  // A click takes the focus from what has it: the button must not go away in between.
  screen.getByLabelText('check r18').blur();
  await new Promise((done) => setTimeout(done));
  expect(star.isConnected).toBe(true);
  fireEvent.click(star);
  fireEvent.mouseLeave(rowOf('r18'));
  expect(store.get().baseline).toBe('r18');
  await waitFor(() => expect(screen.queryByLabelText('pin r18')).toBeNull());
  expect(screen.getByLabelText('baseline r18').getAttribute('aria-pressed')).toBe('true');
});

test('rows that went out of sight show other runs: none is made for them, and the focus goes astray nowhere', async () => {
  const store = new HistoryStore(new MemoryBackend(300));
  render(<HistoryView store={store} />);
  await screen.findByText('r300');
  rowOf('r300').focus();
  const before = new Set(document.querySelectorAll('tr[data-run]'));
  const box = screen.getByRole('grid').parentElement;
  Object.defineProperty(box, 'scrollTop', { value: 60 * 30, configurable: true, writable: true });
  fireEvent.scroll(box as Element);
  await waitFor(() => expect(rowOf('r240')).toBeDefined());
  expect(before.has(rowOf('r240'))).toBe(true);
  expect(document.activeElement).toBe(screen.getByRole('grid'));
  fireEvent.keyDown(screen.getByRole('grid'), { key: 'ArrowDown' });
  await waitFor(() => expect(document.activeElement).toBe(rowOf('r299')));
});

test('a cell is as wide as what it says, and what it does not say is cut', () => {
  for (const whole of ['0.01', 'resnet', 'a'.repeat(32), '模型'.repeat(8)]) {
    expect(cut(whole)).toBe(whole);
  }
  expect(cut('a'.repeat(33))).toBe(`${'a'.repeat(31)}…`);
  expect(cut('模型'.repeat(20))).toBe(`${'模型'.repeat(20).slice(0, 15)}…`);
  expect(cut('😀'.repeat(20))).toBe(`${'😀'.repeat(15)}…`);
  const widths = new Widths(ENGLISH);
  const column = { id: 'params.name', title: 'name', group: 'Parameters' } as Column;
  widths.see([row(1, { params: { name: '模型模型模型' } })], [column], undefined);
  expect(widths.tracks([column], false).tracks).toContain('calc(12ch + ');
});

test('typing filters', async () => {
  const { backend } = await shown();
  fireEvent.input(screen.getByRole('searchbox'), { target: { value: 'r7' } });
  await waitFor(() => expect(document.querySelectorAll('tr[data-index]').length).toBe(1));
  expect(backend.asked.at(-1)?.text).toBe('r7');
});

test('a condition is made of what was chosen, and a click takes it away', async () => {
  const { store } = await shown();
  fireEvent.click(screen.getByRole('button', { name: /^Metric/ }));
  fireEvent.input(screen.getByLabelText('value'), { target: { value: '0.1' } });
  fireEvent.click(screen.getByRole('button', { name: 'Add' }));
  await waitFor(() => expect(store.get().query.where).toEqual(['metrics.acc > 0.1']));
  fireEvent.click(screen.getByRole('button', { name: 'remove the filter metrics.acc > 0.1' }));
  await waitFor(() => expect(store.get().query.where).toEqual([]));
});

test('compare shows what differs, and all on demand', async () => {
  const { store } = await shown();
  store.select(['r20', 'r18']);
  fireEvent.click(await screen.findByRole('button', { name: 'Compare 2' }));
  const view = within(await screen.findByRole('region', { name: 'compared runs' }));
  expect(view.queryByText('model')).toBeNull();
  fireEvent.click(view.getByLabelText('differences only'));
  await waitFor(() => expect(view.queryByText('model')).not.toBeNull());
});

const DIFF: Diff = {
  schema: 1,
  a: { label: 'r1', kind: 'run' },
  b: { label: 'r2', kind: 'run' },
  parts: [],
  counts: { params: 1, code: 1 },
  params: [{ name: 'lr', change: 'changed', a: { value: 0.1 }, b: { value: 0.2 }, stages: ['train'] }],
  code: [
    {
      unit: 'stage',
      name: 'train',
      change: 'changed',
      meaning: 'code',
      hunks: [{ lines: [' x = 1', '-y = fit(x, 1)', '+y = fit(x, 2)'], b_cell: 3, b_line: 2 }],
    },
  ],
};

test('a diff opens on the first part that differs; arrows go through the parts', async () => {
  const backend = new MemoryBackend(2);
  backend.diffs = DIFF;
  render(<DiffView backend={backend} a="r1" b="r2" />);
  const tab = await screen.findByRole('tab', { selected: true });
  expect(tab.textContent).toBe('Params1');
  fireEvent.keyDown(tab, { key: 'ArrowRight' });
  fireEvent.keyDown(screen.getByRole('tab', { selected: true }), { key: 'ArrowRight' });
  await waitFor(() => expect(screen.getByText('cell 3 line 2')).toBeDefined());
  expect([...document.querySelectorAll('mark')].map((mark) => mark.textContent)).toEqual(['1', '2']);
});

test('what cannot be compared says why', async () => {
  render(<DiffView backend={new MemoryBackend(2)} a="r1" b="r9" />);
  expect((await screen.findByRole('alert')).textContent).toBe('there is no diff');
});

test('lines are paired only where as many were taken away as put in', () => {
  expect(paired(['-a', '+b', ' c', '-d', '+e', '+f']).map((line) => line.other)).toEqual([
    'b',
    'a',
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('text is text: names, values, code and outputs make no element', async () => {
  const evil = '<img src=x onerror=alert(1)><script>alert(1)</script>';
  const backend = new MemoryBackend(0);
  backend.rowsOfAll = [row(20, { name: evil, params: { lr: evil }, failure: evil, tags: { t: evil } })];
  await shown(backend);
  render(<Hunks hunks={[{ lines: [`+${evil}`] }]} label={evil} />);
  expect(document.querySelectorAll('img, script').length).toBe(0);
  expect(document.body.textContent).toContain(evil);
});

test('only raster images in base64 get an address', () => {
  expect(dataAddress({ mime: 'image/png', data: 'aGk=' })).toBe('data:image/png;base64,aGk=');
  expect(dataAddress({ mime: 'image/svg+xml', data: 'aGk=' })).toBeNull();
  expect(dataAddress({ mime: 'image/png', data: '"><script>' })).toBeNull();
  expect(dataAddress({ mime: 'text/html', data: 'aGk=' })).toBeNull();
});

test('that one run cannot be read is not said of the next one', async () => {
  const backend = new MemoryBackend(20);
  const read = backend.progress;
  backend.progress = (run) => (run === 'r20' ? Promise.reject(new Error('no journal')) : read(run));
  await shown(backend);
  fireEvent.click(within(rowOf('r20')).getByText('r20'));
  await screen.findByText('no journal');
  fireEvent.click(within(rowOf('r19')).getByText('r19'));
  await screen.findByLabelText('run r19');
  expect(screen.queryByText('no journal')).toBeNull();
});
