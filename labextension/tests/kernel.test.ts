import { expect, test, vi } from 'vitest';

import { KernelBackend, type Model } from '../src/widget/backend';

function model() {
  const listeners = new Set<(content: unknown) => void>();
  const sent: { id?: string; kind: string }[] = [];
  const made: Model = {
    get: () => undefined,
    set: () => undefined,
    save_changes: () => undefined,
    send: (content) => sent.push(content as { kind: string }),
    on: (_, listener) => listeners.add(listener),
    off: (_, listener) => listeners.delete(listener),
  };
  return {
    made,
    sent,
    hear: (content: unknown) => listeners.forEach((listener) => listener(content)),
    listeners,
  };
}

test('an answer finds its question, in whatever order they come', async () => {
  const { made, sent, hear } = model();
  const backend = new KernelBackend(made);
  const first = backend.rows(['r1']);
  const second = backend.rows(['r2']);
  const [one, two] = sent.filter((message) => message.kind === 'rows');
  hear({ id: two?.id, ok: ['second'] });
  hear({ id: one?.id, ok: ['first'] });
  expect(await first).toEqual(['first']);
  expect(await second).toEqual(['second']);
});

test('answers to another view of the same widget are left alone', async () => {
  const { made, sent, hear } = model();
  const backend = new KernelBackend(made);
  const other = new KernelBackend(made);
  void other.rows(['r1']);
  const asked = backend.rows(['r2']);
  const [theirs, ours] = sent.filter((message) => message.kind === 'rows');
  expect(theirs?.id).not.toBe(ours?.id);
  hear({ id: theirs?.id, ok: [] });
  hear({ id: ours?.id, ok: ['r2'] });
  expect(await asked).toEqual(['r2']);
});

test('an error is a refusal with its fix', async () => {
  const { made, sent, hear } = model();
  const asked = new KernelBackend(made).progress('r9');
  hear({ id: sent[1]?.id, error: { message: 'there is no run r9', fix: 'List the runs.' } });
  await expect(asked).rejects.toMatchObject({ message: 'there is no run r9', fix: 'List the runs.' });
});

test('the kernel is told when somebody looks, and when nobody does any more', () => {
  vi.useFakeTimers();
  const { made, sent, listeners } = model();
  const backend = new KernelBackend(made);
  vi.advanceTimersByTime(250_000);
  backend.dispose();
  vi.advanceTimersByTime(250_000);
  vi.useRealTimers();
  expect(sent.map((message) => message.kind)).toEqual(['open', 'open', 'open', 'close']);
  expect(listeners.size).toBe(0);
});
