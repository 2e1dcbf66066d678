import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/preact';
import axe from 'axe-core';
import { afterEach, expect, test, vi } from 'vitest';

import { BASELINE, CURVES, DETAILS, DIGITS, readLog } from '../gallery/data';
import type { DetailStage } from '../src/shared/api';
import { RunDetails, type RunDetailsProps } from '../src/shared/details/RunDetails';
import { StagesTab } from '../src/shared/details/StagesTab';

afterEach(cleanup);

function shown(more: Partial<RunDetailsProps> = {}) {
  const onJump = vi.fn();
  const onTab = vi.fn();
  render(
    <RunDetails
      run="r43"
      details={DETAILS}
      params={DIGITS.params}
      baseline={BASELINE}
      curves={CURVES}
      readLog={readLog}
      onJump={onJump}
      onTab={onTab}
      {...more}
    />,
  );
  return { onJump, onTab };
}

const stage = (name: string): HTMLElement => {
  const found = document.querySelector<HTMLElement>(`li[data-stage="${name}"]`);
  if (!found) {
    throw new Error(`no stage ${name}`);
  }
  return found;
};

function row(name: string): string[] {
  const cells = screen.getByRole('rowheader', { name }).closest('tr')?.children ?? [];
  return [...cells].map((cell) => cell.textContent);
}

test('a stage says how it ended, why it ran, what it measured and left', () => {
  shown();
  const text = stage('train').textContent;
  for (const part of ['succeeded', 'lr 0.001 → 0.01', 'acc 0.921', 'model.pt 1.2 MB', '1:01']) {
    expect(text).toContain(part);
  }
  expect(stage('load').textContent).toBe('load⚡cachedfrom r41 log');
  expect(within(stage('evaluate')).getByText(/KeyError/).tagName).toBe('PRE');
  expect(screen.getByText(/baseline printed 3,000 lines/)).toBeDefined();
});

test('a kernel that is kept says until when and with what, and goes on or ends where it is asked to', async () => {
  const onContinue = vi.fn(() => Promise.resolve());
  const onRelease = vi.fn(() => Promise.resolve());
  shown({ onContinue, onRelease });
  expect(stage('evaluate').textContent).toMatch(/gpu: kept until \S+.*, 1\.2 GB, GPUs 0/);
  const go = within(stage('evaluate')).getByText<HTMLButtonElement>('Continue at the failed cell');
  fireEvent.click(go);
  expect(go.disabled).toBe(true);
  await waitFor(() => expect(go.disabled).toBe(false));
  expect(onContinue).toHaveBeenCalledWith(expect.objectContaining({ start: { continue: true, on: 'gpu' } }));
  fireEvent.click(screen.getByRole('button', { name: 'Release the kernel of evaluate' }));
  expect(onRelease).toHaveBeenCalledWith('evaluate');
  cleanup();
  const over = DETAILS.stages.map((one) => ({ ...one, kept: one.kept ? { ...one.kept, until: 1 } : null }));
  shown({ onContinue, onRelease, details: { ...DETAILS, stages: over } });
  expect(screen.queryByText('Continue at the failed cell')).toBeNull();
});

test('bars share one axis', () => {
  const at = (name: string, started: number, seconds: number, queued: number | null = null) => ({
    ...(DETAILS.stages[0] as DetailStage),
    name,
    started,
    seconds,
    queued,
    status: 'succeeded',
  });
  render(<StagesTab stages={[at('a', 100, 10), at('b', 115, 5, 110)]} now={0} onLog={() => undefined} />);
  const bar = (name: string, kind: string) => {
    const style = stage(name).querySelector<HTMLElement>(`.nbp-${kind}`)?.style;
    return [style?.left, style?.width];
  };
  expect(bar('a', 'took')).toEqual(['0%', '50%']);
  expect(bar('b', 'queued')).toEqual(['50%', '25%']);
  expect(bar('b', 'took')).toEqual(['75%', '25%']);
  expect(within(stage('b')).getByRole('img').getAttribute('aria-label')).toBe(
    'from 15 s to 20 s, waited 5.0 s',
  );
});

test('a stage that runs has a bar until now', () => {
  const running = { ...(DETAILS.stages[0] as DetailStage), status: 'running', started: 100, seconds: null };
  render(<StagesTab stages={[running]} now={125} onLog={() => undefined} />);
  expect(stage('load').querySelector('.nbp-times-time')?.textContent).toBe('25 s');
});

test('a click goes to the cell, or to the log of the stage', async () => {
  const { onJump, onTab } = shown();
  fireEvent.click(within(stage('train')).getByText('train'));
  expect(onJump).toHaveBeenCalledWith('train');
  fireEvent.click(screen.getByRole('button', { name: 'log of train' }));
  expect(onTab).toHaveBeenCalledWith('log');
  expect((await screen.findByLabelText<HTMLSelectElement>('stage')).value).toBe('train');
  expect(screen.queryByRole('button', { name: 'log of good_enough' })).toBeNull();
});

test('parameters against the baseline: what differs is bold, and the tab says how many', () => {
  shown({ tab: 'params' });
  expect(screen.getByRole('tab', { name: /Params/ }).textContent).toBe('Params2');
  expect(row('lr')).toEqual(['lr', '0.01given', '0.001']);
  expect(row('epochs')).toEqual(['epochs', '10', '=']);
  expect(row('augment')).toEqual(['augment', 'true', '–']);
  expect([...document.querySelectorAll('td.nbp-differs')].map((cell) => cell.textContent)).toEqual([
    '0.01given',
    'true',
  ]);
});

test('parameters without a baseline stand beside their defaults', () => {
  shown({ tab: 'params', baseline: undefined });
  expect(row('lr')).toEqual(['lr', '0.01given', '0.001']);
  expect(document.querySelector('.nbp-differs')).toBeNull();
});

test('metrics have their distance to the baseline, and a chart', () => {
  shown({ tab: 'metrics' });
  expect(row('acc train').slice(0, 3)).toEqual(['acc train', '0.921', '▲ 0.007']);
  const [chart] = screen.getAllByRole('button', { name: 'chart of loss' });
  fireEvent.click(chart as HTMLElement);
  expect(screen.getByRole('img', { name: /^loss of r43, r38/ })).toBeDefined();
});

test('arrow keys go through the tabs', () => {
  const { onTab } = shown();
  fireEvent.keyDown(screen.getByRole('tab', { selected: true }), { key: 'ArrowLeft' });
  expect(onTab).toHaveBeenLastCalledWith('log');
  fireEvent.keyDown(screen.getByRole('tab', { selected: true }), { key: 'ArrowRight' });
  expect(screen.getByRole('tab', { selected: true }).textContent).toBe('Stages');
});

test('whatever a run says is text', () => {
  const evil = '<img src=x onerror=alert(1)>';
  const bad: DetailStage = {
    ...(DETAILS.stages[3] as DetailStage),
    name: evil,
    status: evil,
    reason: evil,
    failure: evil,
    metrics: { [evil]: 1 },
    warnings: [evil],
    artifacts: [{ name: evil }],
  };
  const details = { ...DETAILS, params: { [evil]: evil }, given: [evil], stages: [bad], warnings: [evil] };
  for (const tab of ['stages', 'params', 'metrics', 'log'] as const) {
    shown({ details, tab });
  }
  expect(document.querySelectorAll('img').length).toBe(0);
  expect(document.body.textContent).toContain(evil);
});

test.each(['stages', 'params', 'metrics'] as const)('axe finds nothing in %s', async (tab) => {
  shown({ tab });
  const found = await axe.run(document.body, { rules: { 'color-contrast': { enabled: false } } });
  expect(found.violations.map((violation) => violation.id)).toEqual([]);
});

test('a name between backticks is code, and a single backtick is itself', () => {
  const why = (reason: string) => {
    const stages = [{ ...(DETAILS.stages[3] as DetailStage), reason }];
    shown({ details: { ...DETAILS, stages }, tab: 'stages' });
    return document.querySelector('.nbp-times-why');
  };
  expect(why('`lr` 0.1 → 0.2')?.querySelector('code')?.textContent).toBe('lr');
  cleanup();
  expect(why('a ` alone')?.textContent).toContain('a ` alone');
});
