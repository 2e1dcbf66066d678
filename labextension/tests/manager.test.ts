import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import { expect, test, vi } from 'vitest';

import { Keeping } from '../src/lab/panel/keeping';
import { asksForAnother } from '../src/lab/views/args';
import type { RunEvent } from '../src/shared/api';

// The lab's own modules name them when they are loaded; jsdom has none.
Object.assign(globalThis, { DragEvent: MouseEvent });
Object.assign(window, { matchMedia: () => ({ matches: false, addListener: () => undefined }) });
const { nullTranslator } = await import('@jupyterlab/translation');
const { Nbpipe } = await import('../src/lab/nbpipe');

const event: RunEvent = { project: '', run: 'r1', status: 'running', rev: 1 };

function lab() {
  const open = ['a.ipynb', 'b.ipynb'];
  const notebooks = {
    moved: new Signal<object, undefined>({}),
    edited: new Signal<object, string>({}),
    saved: new Signal<object, string>({}),
    paths: () => open,
    selectedCell: () => '',
    content: () => undefined,
  };
  const rows = vi.fn(() => Promise.resolve({ rows: [] }));
  const api = {
    runs: () => Promise.resolve({ rows: [] }),
    rows,
    pipeline: () => new Promise(() => undefined),
  };
  const trans = nullTranslator.load('nbpipe');
  const app = { commands: new CommandRegistry() };
  const nbpipe = new Nbpipe(api as never, trans, notebooks as never, app as never);
  const close = (path: string) => {
    open.splice(open.indexOf(path), 1);
    notebooks.moved.emit(undefined);
  };
  return { nbpipe, notebooks, close, rows };
}

test('what is known of a notebook is forgotten when it is closed and nobody looks at it', () => {
  const { nbpipe, close } = lab();
  nbpipe.go('a.ipynb');
  const backend = nbpipe.backend('b.ipynb');
  const pipeline = nbpipe.pipeline('b.ipynb');
  const leave = pipeline.look();
  close('b.ipynb');
  expect(nbpipe.backend('b.ipynb')).toBe(backend);
  expect(nbpipe.pipeline('b.ipynb')).toBe(pipeline);
  leave();
  nbpipe.go('c.ipynb');
  expect(nbpipe.backend('b.ipynb')).not.toBe(backend);
  expect(nbpipe.pipeline('b.ipynb')).not.toBe(pipeline);
  // The one that is open stays, though another was chosen.
  const kept = nbpipe.backend('a.ipynb');
  nbpipe.go('b.ipynb');
  expect(nbpipe.backend('a.ipynb')).toBe(kept);
});

test('a pipeline that nobody looks at listens to nothing', () => {
  const { nbpipe, notebooks } = lab();
  const connect = vi.spyOn(notebooks.edited, 'connect');
  const disconnect = vi.spyOn(notebooks.edited, 'disconnect');
  const pipeline = nbpipe.pipeline('a.ipynb');
  expect(connect).not.toHaveBeenCalled();
  pipeline.look()();
  pipeline.look()();
  expect([connect.mock.calls.length, disconnect.mock.calls.length]).toEqual([2, 2]);
});

test('whoever held on to a forgotten one, and listens again, hears of events', async () => {
  const { nbpipe, close, rows } = lab();
  const backend = nbpipe.backend('b.ipynb');
  close('b.ipynb');
  nbpipe.hear(event);
  const leave = backend.subscribe(() => undefined);
  nbpipe.hear(event);
  await vi.waitFor(() => expect(rows).toHaveBeenCalledTimes(1));
  leave();
  nbpipe.hear(event);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(rows).toHaveBeenCalledTimes(1);
});

test('baseline, pins and what else is remembered go with a notebook that gets another name, or whose folder does', async () => {
  const saved: Record<string, unknown> = {};
  const db = {
    fetch: () => Promise.resolve(undefined),
    save: (key: string, value: unknown) => Promise.resolve((saved[key] = value)),
  };
  const keeping = new Keeping(db as never);
  await keeping.ready;
  keeping.keepOf('work/a.ipynb', { baseline: 'r1', pinned: ['r2'] });
  keeping.keepOf('work2/a.ipynb', { baseline: 'r9' });
  keeping.rename('work/a.ipynb', 'work/b.ipynb');
  expect(keeping.of('work/b.ipynb')).toEqual({ baseline: 'r1', pinned: ['r2'] });
  expect(keeping.of('work/a.ipynb')).toEqual({});
  keeping.rename('work', 'done');
  expect(keeping.of('done/b.ipynb').baseline).toBe('r1');
  expect(keeping.of('work2/a.ipynb').baseline).toBe('r9');
  await vi.waitFor(() => expect(JSON.stringify(saved)).toContain('done/b.ipynb'));
});

test('a tab shows what is asked for, and keeps what is not spoken of', () => {
  const shown = { path: 'a.ipynb', run: 'r1', stage: 'load' };
  expect(asksForAnother({ path: 'a.ipynb', run: 'r1' }, shown)).toBe(false);
  expect(asksForAnother({ path: 'a.ipynb', run: 'r1', stage: 'train' }, shown)).toBe(true);
  const compared = { path: 'a.ipynb', runs: ['r1', 'r2'], baseline: 'r1' };
  expect(asksForAnother({ ...compared, runs: ['r2', 'r1'] }, compared)).toBe(false);
  expect(asksForAnother({ ...compared, baseline: '' }, compared)).toBe(true);
});
