import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { h, render } from 'preact';
import { beforeEach, expect, test, vi } from 'vitest';

import type { Backend } from '../src/shared/backend';
import { HistoryStore } from '../src/shared/store';
import { MemoryBackend, row } from './fakes';
import { notebook } from './notebooks';

// The lab's own modules name them when they are loaded; jsdom has none.
Object.assign(globalThis, { DragEvent: MouseEvent });
Object.assign(window, { matchMedia: () => ({ matches: false, addListener: () => undefined }) });
const { Notification } = await import('@jupyterlab/apputils');
const { nullTranslator } = await import('@jupyterlab/translation');
const { Runs } = await import('../src/lab/runs');
const { Checker } = await import('../src/lab/cells/check');
const { install } = await import('../src/lab/cells/install');
const { Compare } = await import('../src/lab/views/compare');
const { addRunCommands } = await import('../src/lab/commands/running');

const trans = nullTranslator.load('nbpipe');

beforeEach(() => Notification.dismiss());

test('runs of the same number in two projects have a notification each', async () => {
  const backends: Record<string, MemoryBackend> = {
    'a/one.ipynb': new MemoryBackend(5, { status: 'running' }),
    'b/two.ipynb': new MemoryBackend(5, { status: 'running' }),
  };
  const nbpipe = {
    trans,
    api: { start: () => Promise.resolve({ run: 'r5', status: 'running' }) },
    backend: (path: string) => backends[path],
  };
  const runs = new Runs(nbpipe as never, new CommandRegistry());
  await runs.start('a/one.ipynb', {}, null);
  await runs.start('b/two.ipynb', {}, null);
  backends['a/one.ipynb']?.tell({ rows: [row(5, { status: 'failed' })], gone: false });
  backends['b/two.ipynb']?.tell({ rows: [row(5, { status: 'running', done: 1, stages: 2 })], gone: false });
  const said = Notification.manager.notifications.map(({ type, message }) => `${type}: ${message}`).sort();
  expect(said).toEqual(['error: r5 failed in 2.0 s', 'in-progress: two.ipynb runs as r5: 1 of 2 stages']);
});

test('what is stale is run in the notebook that was asked about, though another is in front by then', async () => {
  let front = 'a.ipynb';
  const started: string[] = [];
  const target = {
    path: ({ path }: { path?: string }) => path ?? front,
    panel: () => null,
    stage: () => '',
  };
  const plan = () => {
    front = 'b.ipynb';
    return Promise.resolve({ stages: [{ name: 'train', action: 'run' }] });
  };
  const commands = new CommandRegistry();
  const runs = { start: (path: string) => started.push(path) };
  addRunCommands(commands, { trans, api: { plan } } as never, target as never, runs as never);
  await commands.execute('nbpipe:run-stale', {});
  expect(started).toEqual(['a.ipynb']);
});

test('a fix is not written over what was typed while the check was on its way', async () => {
  const { model, texts } = notebook('x = yy', 'z = ww');
  const widgets = [...model.cells].map((cell) => ({ model: cell, node: document.createElement('div') }));
  const content = { model: Object.assign(model, { metadata: {} }), widgets };
  const panel = { content, context: { saveState: new Signal({}) } };
  const problem = (cell: number, source: string) => ({
    severity: 'error',
    message: 'no such name',
    fix: '',
    cell,
    id: '',
    line: null,
    actions: [{ kind: 'replace-source', label: 'Fix', cell, id: '', source }],
  });
  const pipeline = vi.fn(() => {
    if (pipeline.mock.calls.length === 1) {
      [...model.cells][0]?.sharedModel.updateSource(0, 0, 'typed = 1\n');
    }
    return Promise.resolve({ problems: [problem(1, 'x = y'), problem(2, 'z = w')] });
  });
  const state = {
    panel,
    path: 'a.ipynb',
    changed: new Signal({}),
    badges: new Map(),
    kernel: { ask: () => undefined },
  };
  const run = () => Promise.resolve();
  const checker = new Checker(state as never, { trans, api: { pipeline } } as never, {} as never, run);
  await checker.run(true);
  widgets.forEach(({ node }) => node.querySelector('button')?.click());
  expect(texts()).toEqual(['typed = 1\nx = yy', 'z = w']);
  expect(pipeline.mock.calls.length).toBe(3);
});

test('an installation whose kernel ends is told as one that failed', async () => {
  const future = { done: Promise.reject(new Error('Canceled future for execute_request')) };
  const session = { session: { kernel: { requestExecute: () => future } } };
  expect(await install(session as never, 'pandas', trans)).toBe(false);
  expect(Notification.manager.notifications.map(({ type, message }) => `${type}: ${message}`)).toEqual([
    'error: pandas was not installed: Canceled future for execute_request',
  ]);
});

test('what is compared with now is read again when the notebook is saved', async () => {
  const saved = new Signal<object, string>({});
  const backend = new MemoryBackend(2);
  const asked = vi.fn<Backend['diff']>(backend.diff);
  Object.assign(backend, { diff: asked });
  const store = new HistoryStore(backend);
  const props = { nbpipe: { notebooks: { saved } }, path: 'a.ipynb', store, table: false };
  const show = (first: [string, string]) => {
    const view = h(Compare as never, { ...props, first } as never);
    render(view, document.body.appendChild(document.createElement('div')));
  };
  show(['r1', 'now']);
  show(['r1', 'r2']);
  await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(4));
  saved.emit('other.ipynb');
  saved.emit('a.ipynb');
  await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(6));
  expect(asked.mock.calls.slice(4).map(([a, b]) => `${a} ${b}`)).toEqual(['r1 now', 'r1 now']);
});
