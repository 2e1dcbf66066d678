import { CommandRegistry } from '@lumino/commands';
import { ServerConnection } from '@jupyterlab/services';
import { beforeEach, expect, test, vi } from 'vitest';

import { Refused } from '../src/shared/backend';
import { MemoryBackend } from './fakes';
import { notebook } from './notebooks';

// The lab's own modules name them when they are loaded; jsdom has none.
Object.assign(globalThis, { DragEvent: MouseEvent });
Object.assign(window, { matchMedia: () => ({ matches: false, addListener: () => undefined }) });
const { Notification } = await import('@jupyterlab/apputils');
const { nullTranslator } = await import('@jupyterlab/translation');
const { Api } = await import('../src/lab/api');
const { Runs } = await import('../src/lab/runs');

const trans = nullTranslator.load('nbpipe');
const UNSAVED = new Refused('n.ipynb on the disk is not what the editor shows', 'Save it', 'not-saved');

/** A notebook in a lab, its file, and a server that starts no run of other cells than the file's. */
function lab(how: { dirty?: boolean; collaborative?: boolean; saves?: boolean; after?: number }) {
  const { model, shared } = notebook('x = 1');
  Object.assign(model, {
    metadata: {},
    dirty: how.dirty ?? false,
    collaborative: how.collaborative ?? false,
  });
  let file = ['x = 1'];
  const write = () => (file = shared.cells.map((cell) => cell.getSource()));
  const save = vi.fn(() => {
    if (how.saves === false) {
      return Promise.reject(new Error('Saving already in progress'));
    }
    write();
    return Promise.resolve();
  });
  let asked = 0;
  const start = vi.fn(({ content }: { content: { cells: { source: string }[] } }) => {
    asked += 1;
    if (asked === how.after) {
      write();
    }
    const same = JSON.stringify(content.cells.map(({ source }) => source)) === JSON.stringify(file);
    return same ? Promise.resolve({ run: 'r5', status: 'running' }) : Promise.reject(UNSAVED);
  });
  const backend = new MemoryBackend(5, { status: 'running' });
  const runs = new Runs({ trans, api: { start }, backend: () => backend } as never, new CommandRegistry());
  shared.cells[0]?.setSource('x = 2');
  return { save, start, go: () => runs.start('n.ipynb', {}, { model, save } as never) };
}

beforeEach(() => Notification.dismiss());

test('an edited notebook is saved, and what the editor shows is what the server is told', async () => {
  const { save, start, go } = lab({ dirty: true });
  expect(await go()).toBe('r5');
  expect(save).toHaveBeenCalledTimes(1);
  expect(start.mock.calls.map(([{ content }]) => content.cells[0]?.source)).toEqual(['x = 2']);
});

test('a shared document is saved by its server, whatever its flag says: saving is asked for only where that fails', async () => {
  const soon = lab({ collaborative: true, after: 1 });
  expect(await soon.go()).toBe('r5');
  expect(soon.save).not.toHaveBeenCalled();
  const never = lab({ collaborative: true });
  expect(await never.go()).toBe('r5');
  expect(never.save).toHaveBeenCalledTimes(1);
  // "Saving already in progress" is no reason not to look once more.
  const busy = lab({ collaborative: true, saves: false, after: 2 });
  expect(await busy.go()).toBe('r5');
});

test('a file that another program has changed is not run silently: it is said, and saving is offered', async () => {
  const { start, save, go } = lab({});
  expect(await go()).toBeNull();
  expect(save).not.toHaveBeenCalled();
  expect(start).toHaveBeenCalledTimes(1);
  const [said] = Notification.manager.notifications;
  expect(said?.message).toContain('not what the editor shows');
  expect(said?.options.actions?.map(({ label }) => label)).toEqual(['Save and run']);
  said?.options.actions?.[0]?.callback(new MouseEvent('click'));
  await vi.waitFor(() => expect(start).toHaveBeenCalledTimes(2));
  expect(save).toHaveBeenCalledTimes(1);
});

test('a notebook on the drive of shared documents has, for the server, its path on the disk', async () => {
  const seen: string[] = [];
  const fetched = vi.fn((request: Request) =>
    (request.method === 'POST' ? request.clone().text() : Promise.resolve(request.url)).then((text) => {
      seen.push(text);
      return new Response('{"problems": [], "stages": []}');
    }),
  );
  const settings = ServerConnection.makeSettings({ baseUrl: 'http://lab/', fetch: fetched as never });
  const api = new Api(settings);
  const path = 'RTC:work/n.ipynb';
  await api.runs(path, {});
  await api.rows(path, ['r1']);
  await api.curves(path, ['r1'], 'acc');
  await api.diff(path, 'r1', 'now', [], false);
  await api.progress(path, 'r1');
  await api.details(path, 'r1');
  await api.detailsText(path, 'r1');
  await api.log(path, 'r1', '', 0);
  await api.targets(path);
  await api.remove(path, 'r1');
  await api.tag(path, 'r1', {});
  await api.pipeline({ path });
  await api.plan({ path });
  await api.suggest({ path });
  await api.start({ path });
  await api.stop('r1', { path });
  await api.checkout('r1', { path });
  await api.promote('r1', { path, as: 'champion' });
  await api.exportTo({ path, to: 'airflow' });
  expect(seen).toHaveLength(19);
  expect(seen.filter((text) => text.includes('RTC'))).toEqual([]);
  expect(seen.filter((text) => /work(\/|%2F)n\.ipynb/.test(text))).toHaveLength(19);
});
