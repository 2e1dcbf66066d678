import { nullTranslator } from '@jupyterlab/translation';
import { expect, it } from 'vitest';

import type { KernelStage, PipelineStage, PlanStage } from '../src/shared/api';
import type { StageRow } from '../src/shared/types';
import { badges, badgeText, type CellState, type Known } from '../src/lab/cells/state';
import { staleProblems } from '../src/lab/cells/stale';
import { readTag } from '../src/lab/cells/tags';

interface Given {
  live?: Partial<KernelStage>;
  row?: Partial<StageRow>;
  plan?: Partial<PlanStage>;
}

function known({ live, row, plan }: Given = {}): Known {
  const kernel: KernelStage = {
    stage: 'train',
    kind: 'stage',
    state: 'fresh',
    reasons: [],
    run: [],
    cells: [1],
    started: 100,
    seconds: 3.2,
    ...live,
  };
  const planned: PlanStage = {
    name: 'train',
    kind: 'stage',
    action: 'hit',
    reason: '',
    expected: null,
    from: null,
    ...plan,
  };
  return {
    live: new Map(live ? [['train', kernel]] : []),
    rows: new Map(
      row ? [['train', { name: 'train', status: 'succeeded', started: 50, seconds: 1, ...row }]] : [],
    ),
    plan: new Map(plan ? [['train', planned]] : []),
    stages: new Map(),
  };
}

const tagged = (id: string, source: string, edited = false): CellState => ({
  id,
  tag: readTag({ source, tags: [], meta: undefined }),
  labelled: false,
  edited,
});

function said(given: Given, edited = false): string {
  const badge = badges([tagged('a', '%%stage train', edited)], known(given)).get('a');
  return badge ? badgeText(badge, (state) => state) : '';
}

it('says what ran last, here or in a run', () => {
  expect(said({})).toBe('');
  expect(said({ row: {} })).toBe('✓ 1.0 s');
  expect(said({ live: {} })).toBe('✓ 3.2 s');
  expect(said({ live: {}, row: {} })).toBe('✓ 3.2 s');
  expect(said({ live: {}, row: { started: 200 } })).toBe('✓ 1.0 s');
  expect(said({ row: { status: 'cached', reason: 'from r41' } })).toBe('⚡ cached');
  expect(said({ row: { status: 'waiting' } })).toBe('○ waiting');
  expect(said({ row: { status: 'rejected' } })).toBe('⊘ rejected');
  expect(said({ row: { status: 'timeout' } })).toBe('✗ failed');
  expect(said({ row: { status: 'something new' } })).toBe('');
});

it('says first what runs now', () => {
  expect(said({ live: { state: 'running' }, row: { status: 'failed', started: 900 } })).toBe('● running');
  expect(said({ live: { state: 'stale' }, row: { status: 'running' } })).toBe('● running');
});

it('holds stale variables above a run that went well, and a later failure above both', () => {
  const reasons = [{ kind: 'code', text: 'cell 3 was edited', name: '' }];
  expect(said({ live: { state: 'stale', reasons }, row: { started: 200 } })).toBe('⟳ stale');
  expect(said({ live: { state: 'stale', reasons }, row: { started: 200, status: 'failed' } })).toBe(
    '✗ failed',
  );
  expect(said({ live: { state: 'failed' }, row: {} })).toBe('✗ failed');
  expect(
    badges([tagged('a', '%%stage train')], known({ live: { state: 'stale', reasons } })).get('a')?.reasons,
  ).toEqual(['cell 3 was edited']);
});

it('says that a cell was edited until it is known what that makes stale', () => {
  expect(said({ live: {} }, true)).toBe('✎ edited');
  expect(said({ row: {} }, true)).toBe('✎ edited');
  expect(said({}, true)).toBe('');
  expect(said({ row: {}, plan: { action: 'run', reason: 'its code changed' } })).toBe('⟳ stale');
  expect(said({ live: {}, row: {}, plan: { action: 'run', reason: 'never' } })).toBe('✓ 3.2 s');
});

it('counts the cells of a stage, and orders the stages as they stand', () => {
  const cells = [
    tagged('a', '%%setup'),
    tagged('b', '%%stage load'),
    tagged('c', '%%stage train'),
    tagged('d', 'x = 1'),
    tagged('e', '%%stage load', true),
    tagged('f', '%%params'),
  ];
  const found = badges(cells, known({ row: {} }));
  expect([...found.keys()]).toEqual(['a', 'b', 'c', 'e', 'f']);
  expect([...found.values()].map((badge) => badge.order)).toEqual([-1, 0, 1, 0, -1]);
  expect(found.get('e')?.part).toEqual([2, 2]);
  expect(found.get('f')?.role).toBe('params');
});

it('marks a line that the grammar does not have, whatever ran', () => {
  const badge = badges([tagged('a', '%%stage train --gpu 1')], known({ live: {} })).get('a');
  expect(badge?.state).toBe('wrong');
  expect(badge?.reasons[0]).toContain('there is no option --gpu');
});

it("gives a cell of Kale's tags the stage that the server says, and no other untagged cell", () => {
  const stage = { name: 'train', kind: 'stage', ids: ['a', 'b'], cells: [1, 2] } as unknown as PipelineStage;
  const about = { ...known(), stages: new Map([['train', stage]]) };
  const cell = (id: string, labelled: boolean): CellState => ({ id, tag: null, labelled, edited: false });
  expect(badges([cell('a', true), cell('b', false)], about).get('b')?.name).toBe('train');
  expect(badges([cell('a', false), cell('b', false)], about).size).toBe(0);
});

it('marks the first cell of what is stale, and runs the cells that make it fresh, after params and setup', () => {
  const cells = [
    tagged('p', '%%params\nlr = 1'),
    tagged('a', '%%stage load'),
    tagged('b', '%%stage train'),
    tagged('c', '%%stage train'),
    tagged('d', '%%stage other'),
  ];
  const reasons = [
    { kind: 'code', text: 'cell 3 was edited after it ran', name: '' },
  ] as KernelStage['reasons'];
  const live = { state: 'stale', reasons, run: ['load', 'train'] } as const;
  const found = staleProblems(badges(cells, known({ live: live as never })), nullTranslator.load('nbpipe'));
  expect(found.map(({ id, stage, severity }) => [id, stage, severity])).toEqual([['b', 'train', 'warning']]);
  expect(found[0]?.message).toBe('what it computed here is stale: cell 3 was edited after it ran');
  expect(found[0]?.actions.map(({ kind, label, source }) => [kind, label, source])).toEqual([
    ['run-cell', 'Run load, train here', 'p a b c'],
  ]);
  expect(staleProblems(badges(cells, known({ live: {} })), nullTranslator.load('nbpipe'))).toEqual([]);
});
