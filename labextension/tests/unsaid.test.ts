import { expect, test } from 'vitest';

import { runsToCompare, runToRead } from '../src/lab/views/unsaid';
import { Refused } from '../src/shared/backend';
import { MemoryBackend } from './fakes';

test('a run alone is compared with the one before it, and the first of all with now', async () => {
  const backend = new MemoryBackend(3);
  expect(await runsToCompare(backend, ['r2'])).toEqual(['r2', 'r1']);
  expect(await runsToCompare(backend, ['r1'])).toEqual(['r1', 'now']);
  expect(await runsToCompare(backend, ['r99'])).toEqual(['r99', 'now']);
  expect(await runsToCompare(backend, [])).toEqual(['r3', 'r2']);
  expect(await runsToCompare(backend, ['r1', 'r3'])).toEqual(['r1', 'r3']);
});

test('the log that nobody named is that of the newest run, and without runs there is none', async () => {
  expect(await runToRead(new MemoryBackend(3), '')).toBe('r3');
  expect(await runToRead(new MemoryBackend(3), 'r1')).toBe('r1');
  expect(await runToRead(new MemoryBackend(0), '')).toBe('');
  const silent = new MemoryBackend(3);
  silent.page = () => Promise.reject(new Refused('gone'));
  expect(await runToRead(silent, '')).toBe('');
});
