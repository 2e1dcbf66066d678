import { expect, test, vi } from 'vitest';

import { HistoryStore, PAGE } from '../src/shared/store';
import { MemoryBackend, row } from './fakes';

async function ready(store: HistoryStore): Promise<void> {
  await vi.waitFor(() => expect(store.get().loading).toBe(false));
}

test('pages are asked for when they are looked at, and only once', async () => {
  const backend = new MemoryBackend(10_000);
  const store = new HistoryStore(backend);
  await ready(store);
  expect(store.get().total).toBe(10_000);
  store.look(5000, 5020);
  store.look(5000, 5020);
  await vi.waitFor(() => expect(store.row(5000)?.run).toBe('r5000'));
  expect(backend.asked.map((query) => query.offset)).toEqual([0, 5000]);
});

test('memory stays flat: however far one scrolls, few pages are kept', async () => {
  const store = new HistoryStore(new MemoryBackend(10_000));
  await ready(store);
  for (let page = 1; page < 60; page += 1) {
    store.look(page * PAGE, page * PAGE + 20);
    await vi.waitFor(() => expect(store.row(page * PAGE)).toBeDefined());
  }
  expect(store.atHand().length).toBeLessThanOrEqual(12 * PAGE);
});

test('an answer to an older question is not shown', async () => {
  const backend = new MemoryBackend(3);
  const store = new HistoryStore(backend);
  await ready(store);
  const answers: (() => void)[] = [];
  const ask = backend.page;
  backend.page = async (query) => {
    await new Promise<void>((go) => answers.push(go));
    return ask(query);
  };
  store.ask({ text: 'cnn' });
  store.ask({ text: 'mlp' });
  answers[1]?.();
  await vi.waitFor(() => expect(store.get().total).toBe(1));
  answers[0]?.();
  await Promise.resolve();
  expect(store.row(0)?.run).toBe('r2');
});

test('a run that goes on changes its row without a question; its end is said', async () => {
  const backend = new MemoryBackend(2, { status: 'running' });
  const store = new HistoryStore(backend);
  await ready(store);
  const before = backend.asked.length;
  backend.tell({ rows: [row(2, { status: 'succeeded' })], gone: false });
  expect(store.row(0)?.status).toBe('succeeded');
  expect(store.get().said).toBe('r2 succeeded');
  expect(backend.asked.length).toBe(before);
});

test('a new run stands on top at once, though the kernel is busy; where filters hide it, it is counted', async () => {
  const backend = new MemoryBackend(2);
  const store = new HistoryStore(backend);
  await ready(store);
  backend.tell({ rows: [row(3, { status: 'running' })], gone: false });
  expect(store.row(0)?.run).toBe('r3');
  expect(store.get().total).toBe(3);
  store.ask({ text: 'mlp' });
  await ready(store);
  backend.tell({ rows: [row(5)], gone: false });
  expect(store.get().unseen).toBe(1);
});

test('a new trial stands on top where trials are shown, and nowhere else', async () => {
  const backend = new MemoryBackend(2);
  const store = new HistoryStore(backend);
  await ready(store);
  const trial = { ...row(3), run: 't1', kind: 'trial' as const };
  backend.tell({ rows: [trial], gone: false });
  expect(store.get().total).toBe(2);
  expect(store.get().unseen).toBe(0);
  store.ask({ kinds: ['run', 'trial'] });
  await ready(store);
  backend.tell({ rows: [trial], gone: false });
  expect(store.row(0)?.run).toBe('t1');
});

test('selection, baseline and pins are written back, and rows of them stay at hand', async () => {
  const keep = vi.fn();
  const store = new HistoryStore(new MemoryBackend(1000), { baseline: 'r1' }, undefined, keep);
  await ready(store);
  await vi.waitFor(() => expect(store.find('r1')?.run).toBe('r1'));
  store.toggle('r1000');
  store.pin('r999');
  expect(keep).toHaveBeenLastCalledWith(
    expect.objectContaining({ selected: ['r1000'], pinned: ['r999'], baseline: 'r1' }),
  );
  store.toggle('r1000');
  expect(store.get().selected).toEqual([]);
});

test('a refusal is shown with what to do next, and the rows stay', async () => {
  const backend = new MemoryBackend(2);
  const store = new HistoryStore(backend);
  await ready(store);
  backend.page = () => Promise.reject(new Error('no such name'));
  store.ask({ where: ['x >'] });
  await vi.waitFor(() => expect(store.get().problem).toBe('no such name'));
  expect(store.row(0)?.run).toBe('r2');
});

test('nothing is heard after the end', async () => {
  const backend = new MemoryBackend(2);
  const store = new HistoryStore(backend);
  await ready(store);
  store.dispose();
  expect(backend.heard).toBe(0);
});

test('the curve of a run that goes on is asked for again, one question at a time, and stays in sight meanwhile', async () => {
  const backend = new MemoryBackend(1, { status: 'running' });
  const store = new HistoryStore(backend);
  await ready(store);
  const answers: (() => void)[] = [];
  const ask = backend.curves;
  backend.curves = async (runs) => {
    await new Promise<void>((go) => answers.push(go));
    return ask(runs);
  };
  const look = () => store.lookAtCurves(['r1'], 'acc');
  const first = look();
  backend.curvesOfRuns = { r1: [[0, 0.1]] };
  answers[0]?.();
  await first;
  await look();
  expect(answers.length).toBe(1);
  backend.tell({ rows: [row(1, { status: 'running', done: 1 })], gone: false });
  const again = look();
  backend.tell({ rows: [row(1)], gone: false });
  void look();
  expect(answers.length).toBe(2);
  expect(store.curve('r1', 'acc')).toEqual([[0, 0.1]]);
  backend.curvesOfRuns = {
    r1: [
      [0, 0.1],
      [1, 0.2],
    ],
  };
  answers[1]?.();
  await again;
  expect(store.curve('r1', 'acc')).toHaveLength(2);
  void look();
  expect(answers.length).toBe(3);
});
