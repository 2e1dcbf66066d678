import { expect, test } from 'vitest';

import { acceptTags, dropMetadata, mergeMetadata, takeBack } from '../src/lab/cells/accepting';
import { proposalOf, proposedLine, renamed, without } from '../src/lab/cells/proposal';
import type { SuggestView } from '../src/shared/api';
import { notebook } from './notebooks';

const VIEW = {
  cells: [
    { cell: 1, id: '', line: '%%params', role: 'params', name: '', why: 'constants' },
    { cell: 2, id: 'c1', line: '%%stage load --reads data.csv', role: 'stage', name: 'load', why: 'reads' },
    { cell: 3, id: 'c2', line: '%%stage train', role: 'stage', name: 'train', why: 'fits' },
    { cell: 9, id: '', line: '%%stage lost', role: 'stage', name: 'lost', why: 'its cell went' },
  ],
  pipeline: {
    stages: [{ name: 'load' }, { name: 'train' }],
    edges: [{ source: 'load', target: 'train', names: ['x'], kind: 'data' }],
  },
  metadata: { mergeable: true },
  notes: [],
} as unknown as SuggestView;
const CELLS = ['n = 5', 'x = read(n)', 'y = fit(x)'];
const proposal = () => proposalOf(VIEW, (cell) => (cell <= CELLS.length ? `c${cell - 1}` : ''));

test('a cell without an id is found by its number, and one that is gone is left out', () => {
  expect(proposal().cells.map((cell) => [cell.id, proposedLine(cell)])).toEqual([
    ['c0', '%%params'],
    ['c1', '%%stage load --reads data.csv'],
    ['c2', '%%stage train'],
  ]);
  expect(without(proposal(), ['c1']).cells.map(({ id }) => id)).toEqual(['c0', 'c2']);
});

test('a stage that is renamed has its name in the cells and in the graph, and others keep theirs', () => {
  const now = renamed(proposal(), 'load', 'read_data');
  expect(now.cells.map(({ name }) => name)).toEqual(['', 'read_data', 'train']);
  expect(now.pipeline.stages.map(({ name }) => name)).toEqual(['read_data', 'train']);
  expect(now.pipeline.edges[0]).toMatchObject({ source: 'read_data', target: 'train' });
  expect(() => renamed(proposal(), 'load', 'Read Data')).toThrow('not a valid name');
});

test('what is accepted is one step for the undo of the notebook, and edits before and after are others', () => {
  const { model, shared, texts } = notebook(...CELLS);
  shared.insertCell(3, { cell_type: 'code', source: 'before' });
  acceptTags(model, proposal().cells, 'magic');
  shared.insertCell(4, { cell_type: 'code', source: 'after' });
  expect(texts()).toEqual([
    '%%params\nn = 5',
    '%%stage load --reads data.csv\nx = read(n)',
    '%%stage train\ny = fit(x)',
    'before',
    'after',
  ]);
  shared.undo();
  expect(texts()[0]).toBe('%%params\nn = 5');
  shared.undo();
  expect(texts()).toEqual([...CELLS, 'before']);
  shared.redo();
  expect(texts()[2]).toBe('%%stage train\ny = fit(x)');
});

test('tags in the metadata are undone alike', () => {
  const { model, shared, texts } = notebook(...CELLS);
  acceptTags(model, proposal().cells, 'metadata');
  expect(shared.cells.map((cell) => cell.getMetadata('nbpipe') as unknown)).toEqual([
    { params: true },
    { stage: 'load', options: '--reads data.csv' },
    { stage: 'train' },
  ]);
  expect(texts()).toEqual(CELLS);
  shared.undo();
  expect(shared.cells.map((cell) => cell.getMetadata('nbpipe') as unknown)).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test('a line that was changed since is not taken back', () => {
  const { model, shared, texts } = notebook(...CELLS);
  const written = acceptTags(model, proposal().cells, 'magic');
  shared.cells[2]?.setSource('%%stage fit\ny = fit(x)');
  takeBack(model, written);
  expect(texts()).toEqual(['n = 5', 'x = read(n)', '%%stage fit\ny = fit(x)']);
});

test('what a cell was before is what it is again: its tags, its metadata, its line with its comment', () => {
  for (const style of ['magic', 'metadata'] as const) {
    const { model, shared, texts } = notebook('n = 5', '%%setup  # why\nx = read(n)', 'y = fit(x)');
    shared.cells[0]?.setMetadata('tags', ['other', 'parameters', 'last']);
    shared.cells[2]?.setMetadata('nbpipe', { own: 1, setup: true });
    const before = shared.toJSON();
    const written = acceptTags(model, proposal().cells, style);
    expect(texts()[1]).toBe('%%stage load --reads data.csv  # why\nx = read(n)');
    expect(shared.cells[0]?.getMetadata('tags')).toEqual(['other', 'last']);
    takeBack(model, written);
    expect(shared.toJSON()).toEqual(before);
    acceptTags(model, proposal().cells, style);
    shared.cells[0]?.setMetadata('tags', ['last', 'new']);
    takeBack(model, written);
    expect(shared.cells[0]?.getMetadata('tags')).toEqual(['last', 'new', 'parameters']);
  }
});

test('nothing is written where one of the lines is none', () => {
  const { model, texts } = notebook(...CELLS);
  const [params, load] = proposal().cells;
  const wrong = [params, load && { ...load, name: 'Not A Name' }].filter((cell) => cell !== undefined);
  expect(() => acceptTags(model, wrong, 'magic')).toThrow('a name has no blanks');
  expect(texts()).toEqual(CELLS);
});

test('the metadata of a proposal is merged into what the notebook has, and only what was new is taken back', () => {
  const { model, shared } = notebook(...CELLS);
  shared.setMetadata('nbpipe', { note: 'mine' });
  const added = mergeMetadata(model, { mergeable: true, note: 'mine' });
  expect(shared.getMetadata('nbpipe')).toEqual({ note: 'mine', mergeable: true });
  dropMetadata(model, added);
  expect(shared.getMetadata('nbpipe')).toEqual({ note: 'mine' });
  dropMetadata(model, ['note']);
  expect(shared.getMetadata('nbpipe')).toBeUndefined();
});

test('metadata that were changed after they were accepted are not taken back', () => {
  const { model, shared } = notebook(...CELLS);
  const written = acceptTags(model, proposal().cells, 'metadata');
  shared.cells[2]?.setMetadata('nbpipe', { stage: 'fit' });
  takeBack(model, written);
  expect(shared.cells.map((cell) => cell.getMetadata('nbpipe') as unknown)).toEqual([
    undefined,
    undefined,
    { stage: 'fit' },
  ]);
});

test('a stage that was written by hand since the proposal stays as it is, and is not taken back', () => {
  const { model, shared, texts } = notebook(...CELLS);
  shared.cells[1]?.updateSource(0, 0, '%%stage mine\n');
  const written = acceptTags(model, proposal().cells, 'magic');
  expect(texts()).toEqual(['%%params\nn = 5', '%%stage mine\nx = read(n)', '%%stage train\ny = fit(x)']);
  takeBack(model, written);
  expect(texts()).toEqual(['n = 5', '%%stage mine\nx = read(n)', 'y = fit(x)']);
});
