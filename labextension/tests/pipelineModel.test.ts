import { Signal } from '@lumino/signaling';
import { beforeEach, expect, test } from 'vitest';

import { PipelineModel, type Around } from '../src/lab/pipelineModel';
import type { PipelineView, PlanView } from '../src/shared/api';
import { MemoryBackend, row } from './fakes';

const settled = () => new Promise((resolve) => setTimeout(resolve));

/** Answers when it is told to, so that a test decides what has changed in between. */
class Server {
  asked: { resource: string; signal: AbortSignal; answer: (value: unknown) => void }[] = [];
  private ask = (resource: string) => (_: unknown, signal: AbortSignal) =>
    new Promise<never>((resolve) => {
      this.asked.push({ resource, signal, answer: resolve as (value: unknown) => void });
    });
  pipeline = this.ask('pipeline');
  plan = this.ask('plan');

  get resources(): string[] {
    return this.asked.map(({ resource }) => resource);
  }

  async answer(value: unknown): Promise<void> {
    this.asked.at(-1)?.answer(value);
    await settled();
  }
}

const view = (name: string): PipelineView =>
  ({
    name,
    stages: [{ name, kind: 'stage', ids: [name], cells: [1] }],
    problems: [],
  }) as unknown as PipelineView;
const plan = { stages: [], up_to_date: 'r1' } as unknown as PlanView;

let server: Server;
let runs: MemoryBackend;
let edited: Signal<object, string>;
let model: PipelineModel;
const edit = () => edited.emit('a.ipynb');

beforeEach(() => {
  server = new Server();
  runs = new MemoryBackend(1);
  edited = new Signal<object, string>({});
  const notebooks = {
    edited,
    moved: new Signal<object, undefined>({}),
    content: () => ({ cells: [] }),
    selectedCell: () => '',
  };
  model = new PipelineModel({ api: server, notebooks, backend: () => runs } as unknown as Around, 'a.ipynb');
});

test('nothing is asked before somebody looks, nor after', async () => {
  edit();
  await settled();
  expect(server.asked).toEqual([]);
  const leave = model.look();
  await server.answer(view('load'));
  await server.answer(plan);
  expect(server.resources).toEqual(['pipeline', 'plan']);
  leave();
  edit();
  runs.tell({ rows: [row(2)], gone: true });
  await settled();
  expect(server.asked.length).toBe(2);
  expect(runs.heard).toBe(0);
});

test('who looks later gets what the first one got, and asks nothing', async () => {
  model.look();
  await server.answer(view('load'));
  await server.answer(plan);
  model.look();
  await settled();
  expect(server.asked.length).toBe(2);
  expect(model.get().plan).toBe(plan);
  edit();
  await settled();
  expect(server.resources).toEqual(['pipeline', 'plan', 'pipeline']);
});

test('edits during a question are one more question, and no plan is made for what was left behind', async () => {
  model.look();
  edit();
  edit();
  edit();
  await settled();
  expect(server.resources).toEqual(['pipeline']);
  await server.answer(view('old'));
  expect(server.resources).toEqual(['pipeline', 'pipeline']);
  await server.answer(view('new'));
  expect(model.get().pipeline?.name).toBe('new');
  expect(server.resources).toEqual(['pipeline', 'pipeline', 'plan']);
});

test('a question is cancelled when the last one looks away, and its answer is not shown', async () => {
  const leave = model.look();
  const again = model.look();
  leave();
  leave();
  expect(server.asked[0]?.signal.aborted).toBe(false);
  again();
  expect(server.asked[0]?.signal.aborted).toBe(true);
  const back = model.look();
  expect(server.asked.length).toBe(2);
  server.asked[0]?.answer(view('old'));
  await server.answer(view('new'));
  expect(model.get().pipeline?.name).toBe('new');
  back();
});

test('a run that ends makes the plan another one, and a run of elsewhere does not', async () => {
  runs.rowsOfAll = [row(3, { status: 'running' })];
  runs.progress = (run) =>
    Promise.resolve({
      row: runs.rowsOfAll.find((one) => one.run === run) ?? row(0),
      stages: [],
      warnings: [],
      now: 0,
    });
  model.look();
  await server.answer(view('load'));
  await server.answer(plan);
  runs.tell({ rows: [row(2)], gone: false });
  await settled();
  expect(server.asked.length).toBe(2);
  runs.rowsOfAll = [row(3)];
  runs.tell({ rows: [row(3)], gone: false });
  await settled();
  expect(model.get().plan).toBeUndefined();
  expect(model.get().latest?.row.status).toBe('succeeded');
  expect(server.resources).toEqual(['pipeline', 'plan', 'pipeline']);
});
