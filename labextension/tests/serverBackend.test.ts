import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { Api } from '../src/lab/api';
import { ServerBackend } from '../src/lab/backend';
import type { RunEvent } from '../src/shared/api';
import { Refused } from '../src/shared/backend';
import type { Change, RunRow } from '../src/shared/types';
import { row } from './fakes';

/** A server with these runs; what was asked is counted. */
class Server {
  rows_: RunRow[] = [row(2), row(1)];
  asked: string[] = [];
  runs = () => {
    this.asked.push('runs');
    const page = { rows: this.rows_, total: this.rows_.length, offset: 0, params: [], metrics: [], tags: [] };
    return Promise.resolve(page);
  };
  rows = (_: string, runs: string[]) => {
    this.asked.push(`rows ${runs.join()}`);
    return Promise.resolve({ rows: this.rows_.filter(({ run }) => runs.includes(run)) });
  };
}

const event = (run: string, project = 'work'): RunEvent => ({ project, run, status: 'running', rev: 1 });
let server: Server;
let backend: ServerBackend;
let heard: Change[];

beforeEach(() => {
  vi.useFakeTimers();
  server = new Server();
  backend = new ServerBackend(server as unknown as Api, 'work/a.ipynb');
  heard = [];
});
afterEach(() => {
  backend.dispose();
  vi.useRealTimers();
});

test('events of one moment are one question, and rows come with what is told', async () => {
  await backend.page({});
  backend.subscribe((change) => heard.push(change));
  server.rows_ = [row(3, { status: 'running' }), row(2), row(1)];
  backend.hear(event('r3'));
  backend.hear(event('r2'));
  backend.hear(event('r9', 'elsewhere'));
  await vi.advanceTimersByTimeAsync(100);
  expect(server.asked.filter((text) => text.startsWith('rows'))).toEqual(['rows r3,r2']);
  expect(heard.at(-1)?.rows.map(({ run }) => run)).toEqual(['r3', 'r2']);
});

test('a run of another notebook of the project is not told as one of this', async () => {
  await backend.page({});
  backend.subscribe((change) => heard.push(change));
  const ours = server.rows_;
  server.rows = () => Promise.resolve({ rows: [row(3, { status: 'running', name: 'other' }), row(2)] });
  backend.hear(event('r3'));
  backend.hear(event('r2'));
  await vi.advanceTimersByTimeAsync(100);
  expect(server.rows_).toBe(ours);
  expect(heard.flatMap(({ rows }) => rows.map(({ run }) => run))).toEqual(['r2']);
});

test('a run that was deleted is told as gone', async () => {
  await backend.page({});
  backend.subscribe((change) => heard.push(change));
  server.rows_ = [row(1)];
  backend.hear(event('r2', ''));
  await vi.advanceTimersByTimeAsync(100);
  expect(heard).toContainEqual({ rows: [], gone: true });
});

test('without a single event, a look finds what moved, and looks come often while runs are on', async () => {
  server.rows_ = [row(2, { status: 'running' }), row(1)];
  await backend.page({});
  backend.subscribe((change) => heard.push(change));
  await vi.advanceTimersByTimeAsync(1000);
  expect(heard).toEqual([]);
  server.rows_ = [row(2, { status: 'failed' }), row(1)];
  await vi.advanceTimersByTimeAsync(6000);
  expect(heard.map(({ rows }) => rows.map(({ run, status }) => `${run} ${status}`))).toEqual([['r2 failed']]);
  const before = server.asked.length;
  await vi.advanceTimersByTimeAsync(30_000);
  expect(server.asked.length - before).toBeLessThan(4);
});

test('what one view was given is told to the others, should the event be lost', async () => {
  server.rows_ = [row(2, { status: 'running' }), row(1)];
  await backend.page({});
  backend.subscribe((change) => heard.push(change));
  await vi.advanceTimersByTimeAsync(1000);
  server.rows_ = [row(2, { status: 'failed' }), row(1)];
  // Some view asks, and knows; the list of runs has heard nothing.
  await backend.page({ limit: 1 });
  await vi.advanceTimersByTimeAsync(61_000);
  expect(heard.flatMap(({ rows }) => rows.map(({ run, status }) => `${run} ${status}`))).toEqual([
    'r2 failed',
  ]);
});

test('runs that were deleted are told as gone by a look, where no event said so; those behind its end are not', async () => {
  server.rows_ = Array.from({ length: 60 }, (_, n) => row(60 - n));
  server.runs = () =>
    Promise.resolve({
      rows: server.rows_.slice(0, 50),
      total: 60,
      offset: 0,
      params: [],
      metrics: [],
      tags: [],
    });
  backend.subscribe((change) => heard.push(change));
  await vi.advanceTimersByTimeAsync(1000);
  server.rows_ = [row(61), ...server.rows_];
  await vi.advanceTimersByTimeAsync(61_000);
  expect(heard.map(({ rows, gone }) => [rows.map(({ run }) => run), gone])).toEqual([[['r61'], false]]);
  server.rows_ = server.rows_.filter(({ run }) => !['r40', 'r41'].includes(run));
  await vi.advanceTimersByTimeAsync(61_000);
  expect(heard.at(-1)?.gone).toBe(true);
});

test('two deletions of one moment are both forgotten, and one of a run that no list had is told', async () => {
  server.rows_ = [row(3, { status: 'running' }), row(2, { status: 'running' }), row(1)];
  await backend.page({});
  backend.subscribe((change) => heard.push(change));
  await vi.advanceTimersByTimeAsync(1000);
  server.rows_ = [row(1)];
  ['r3', 'r2'].forEach((run) => backend.hear({ ...event(run), status: 'deleted', rev: 0 }));
  await vi.advanceTimersByTimeAsync(100);
  expect(heard).toEqual([{ rows: [], gone: true }]);
  const before = server.asked.length;
  // Nothing runs any more: it looks once a minute.
  await vi.advanceTimersByTimeAsync(30_000);
  expect(server.asked.length - before).toBeLessThan(2);
  backend.hear({ ...event('r7'), status: 'deleted', rev: 0 });
  await vi.advanceTimersByTimeAsync(100);
  expect(heard).toHaveLength(2);
});

test('an event whose question was not answered is asked again after the next look', async () => {
  await backend.page({});
  backend.subscribe((change) => heard.push(change));
  await vi.advanceTimersByTimeAsync(1000);
  const rows = server.rows;
  server.rows = () => Promise.reject(new Refused('the server does not answer'));
  server.rows_ = [row(1)];
  backend.hear({ ...event('r2'), status: 'deleted', rev: 0 });
  await vi.advanceTimersByTimeAsync(100);
  expect(heard).toEqual([]);
  server.rows = rows;
  await vi.advanceTimersByTimeAsync(61_000);
  expect(heard.some(({ gone }) => gone)).toBe(true);
  expect(server.asked.filter((text) => text === 'rows r2')).toHaveLength(1);
});

test('nobody listens, nothing is asked', async () => {
  const stop = backend.subscribe((change) => heard.push(change));
  await vi.advanceTimersByTimeAsync(100);
  stop();
  const before = server.asked.length;
  backend.hear(event('r1'));
  await vi.advanceTimersByTimeAsync(200_000);
  expect(server.asked.length).toBe(before);
});
