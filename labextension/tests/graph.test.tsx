import { act, cleanup, fireEvent, render, screen } from '@testing-library/preact';
import axe from 'axe-core';
import { afterEach, expect, test, vi } from 'vitest';

import { DIGITS } from '../gallery/data';
import type { KernelStatus, PlanView } from '../src/shared/api';
import { marksOf, timeOf } from '../src/shared/graph/marks';
import { PipelineGraph, type GraphProps } from '../src/shared/graph/PipelineGraph';

afterEach(cleanup);

const MODES = ['compact', 'large'] as const;

function shown(more: Partial<GraphProps> = {}) {
  const onJump = vi.fn();
  const marks = { load: { state: 'cached' }, train: { state: 'running', started: Date.now() / 1000 - 5 } };
  render(<PipelineGraph {...DIGITS} marks={marks} mode="compact" onJump={onJump} {...more} />);
  return { onJump };
}

const node = (name: string) => screen.getByRole('button', { name: new RegExp(`^(check )?${name},`) });
const press = (key: string) => fireEvent.keyDown(document.activeElement as Element, { key });
const focus = (element: Element) => void act(() => (element as HTMLElement).focus());
const focused = () => (document.activeElement as HTMLElement).dataset['stage'];

test.each(MODES)('%s: every stage says its state and what it needs and gives', (mode) => {
  shown({ mode });
  expect(
    node('train')
      .getAttribute('aria-label')
      ?.replace(/5\.\d s/, '5 s'),
  ).toBe(
    'train, running, 5 s, needs X_train, y_train, scaler from prepare; gives model to evaluate, file model.pt to report',
  );
  expect(node('good_enough').getAttribute('aria-label')).toContain('check good_enough, unknown');
  expect(node('load').textContent).toContain('cached');
});

test.each(MODES)('%s: one stage is reached by Tab, and it is the selected one', (mode) => {
  shown({ mode, selected: 'train' });
  const tabbed = [...document.querySelectorAll<HTMLElement>('[data-stage]')].filter(
    (item) => item.tabIndex === 0,
  );
  expect(tabbed.map((item) => item.dataset['stage'])).toEqual(['train']);
  expect(tabbed[0]?.getAttribute('aria-current')).toBe('true');
});

test('compact: arrows go down the rows and along the edges', () => {
  shown();
  focus(node('load'));
  press('ArrowDown');
  press('ArrowDown');
  expect(focused()).toBe('baseline');
  press('ArrowRight');
  expect(focused()).toBe('evaluate');
  press('ArrowLeft');
  expect(focused()).toBe('train');
  press('ArrowLeft');
  press('ArrowLeft');
  press('ArrowLeft');
  expect(focused()).toBe('load');
  press('End');
  expect(focused()).toBe('report');
});

test('large: arrows go along the edges and up and down a rank', () => {
  shown({ mode: 'large' });
  focus(node('prepare'));
  press('ArrowRight');
  const first = focused();
  expect(['baseline', 'train']).toContain(first);
  press(first === 'train' ? 'ArrowUp' : 'ArrowDown');
  press(first === 'train' ? 'ArrowDown' : 'ArrowUp');
  expect(focused()).toBe(first);
  press('ArrowRight');
  expect(focused()).toBe('evaluate');
  press('Home');
  expect(focused()).toBe('load');
});

test('large: keys and buttons zoom', () => {
  shown({ mode: 'large' });
  focus(node('load'));
  press('+');
  expect(screen.getByRole('status', { name: 'scale' }).textContent).toBe('125 %');
  fireEvent.click(screen.getByRole('button', { name: 'smaller' }));
  expect(screen.getByRole('status', { name: 'scale' }).textContent).toBe('100 %');
});

test.each(MODES)('%s: a click jumps, a right click asks for the menu', (mode) => {
  const onMenu = vi.fn();
  const { onJump } = shown({ mode, onMenu });
  fireEvent.click(node('train'));
  expect(onJump).toHaveBeenCalledWith('train');
  fireEvent.contextMenu(node('train'), { clientX: 7, clientY: 9 });
  expect(onMenu).toHaveBeenCalledWith('train', { x: 7, y: 9 });
});

test.each(MODES)('%s: what is focused says what goes along its edges', (mode) => {
  shown({ mode });
  focus(node('evaluate'));
  expect(document.querySelectorAll('.nbp-edge-active').length).toBe(5);
  expect(document.querySelector('.nbp-graph-caption')?.textContent).toContain('X_test, y_test from prepare');
  const edge = document.querySelector('.nbp-edge-file');
  fireEvent.mouseEnter(edge as Element);
  expect(document.querySelector('.nbp-graph-caption')?.textContent).toBe('train → report: file model.pt');
});

test.each(MODES)('%s: names are text', (mode) => {
  const evil = '"><img src=x onerror=alert(1)>';
  shown({
    mode,
    stages: [
      { name: evil, kind: 'stage' },
      { name: 'b', kind: 'check' },
    ],
    edges: [{ source: evil, target: 'b', names: [evil], kind: 'data' }],
    marks: { [evil]: { state: evil, reason: evil } },
  });
  focus(document.querySelector('[data-stage="b"]') as Element);
  expect(document.querySelectorAll('img').length).toBe(0);
  expect(document.body.textContent).toContain(evil);
});

test.each(MODES)('%s: axe finds nothing', async (mode) => {
  shown({ mode });
  const found = await axe.run(document.body, { rules: { 'color-contrast': { enabled: false } } });
  expect(found.violations.map((violation) => violation.id)).toEqual([]);
});

const PLAN: PlanView = {
  schema: 1,
  up_to_date: null,
  warnings: [],
  stages: DIGITS.stages.map(({ name, kind }) => ({
    name,
    kind,
    action: name === 'load' || name === 'prepare' ? 'hit' : 'run',
    reason: name === 'train' ? '`lr` 1 → 2' : '',
    expected: 3,
    from: null,
  })),
};

const progress = (status: string, stages: Record<string, string>) => ({
  row: { run: 'r1', status },
  stages: Object.entries(stages).map(([name, state]) => ({ name, status: state, seconds: 2 })),
  warnings: [],
  now: 0,
});

test('a run that is on counts before the plan; afterwards the plan says what is stale', () => {
  const during = marksOf({
    pipeline: DIGITS,
    plan: PLAN,
    progress: progress('running', { train: 'running' }),
  });
  expect(during['train']?.state).toBe('running');
  const after = marksOf({
    pipeline: DIGITS,
    plan: PLAN,
    progress: progress('failed', {
      load: 'succeeded',
      train: 'succeeded',
      evaluate: 'failed',
      report: 'skipped',
    }),
  });
  expect(Object.entries(after).map(([name, mark]) => `${name} ${mark.state}`)).toEqual([
    'load succeeded',
    'prepare cached',
    'baseline to run',
    'train stale',
    'evaluate failed',
    'good_enough to run',
    'report to run',
  ]);
  expect(after['train']?.reason).toBe('`lr` 1 → 2');
});

test('without a run and a plan the live kernel says how stages stand', () => {
  const kernel = {
    stages: [
      { stage: 'train', state: 'stale', reasons: [{ kind: 'code', text: 'cell 7 was edited', name: '' }] },
    ],
  } as unknown as KernelStatus;
  const marks = marksOf({ pipeline: DIGITS, kernel });
  expect([marks['train']?.state, marks['train']?.reason]).toEqual(['stale', 'cell 7 was edited']);
  expect(marks['load']?.state).toBe('unknown');
});

test('errors are counted per stage', () => {
  const problem = { severity: 'error', stage: 'train' } as (typeof DIGITS.problems)[number];
  const marks = marksOf({
    pipeline: { ...DIGITS, problems: [problem, { ...problem, severity: 'warning' }] },
  });
  expect([marks['train']?.errors, marks['load']?.errors]).toEqual([1, 0]);
});

test('times are of what ran, or an estimate of what will', () => {
  expect(timeOf({ state: 'running', started: 60, expected: 68 }, 101)).toBe('~27 s left');
  expect(timeOf({ state: 'running', started: 60, expected: 30 }, 101)).toBe('41 s');
  expect(timeOf({ state: 'to run', expected: 2 }, 0)).toBe('~2.0 s');
  expect(timeOf({ state: 'succeeded', seconds: 3.21 }, 0)).toBe('3.2 s');
  expect(timeOf({ state: 'cached', seconds: 3.21 }, 0)).toBe('');
});
