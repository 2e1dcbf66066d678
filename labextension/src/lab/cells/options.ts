import * as q from './quantities';
import { threshold } from './thresholds';
import { GrammarError, shown } from './words';

export type Given = Record<string, unknown>;

interface Option {
  /** Field of the options that it fills, as in docs/formats/grammar.json. */
  field: string;
  read: (text: string) => unknown;
  shape: 'one' | 'list' | 'each' | 'pairs' | 'flag';
  /** What a flag sets. */
  sets?: string;
}

const one = (field: string, read: Option['read']): Option => ({ field, read, shape: 'one' });
const list = (field: string, read: Option['read']): Option => ({ field, read, shape: 'list' });
const flag = (sets: string): Option => ({ field: 'cache', read: String, shape: 'flag', sets });

/** The table of `nbpipe/notebook/options.py`. */
export const OPTIONS: ReadonlyMap<string, Option> = new Map([
  ['after', list('after', q.stageName)],
  ['on', one('on', q.stageName)],
  ['gpus', one('gpus', q.amount)],
  ['cpus', one('cpus', q.positiveAmount)],
  ['memory', one('memory', q.size)],
  ['image', one('image', q.image)],
  ['nodes', one('nodes', q.positiveCount)],
  ['nproc', one('nproc', q.positiveCount)],
  ['retries', one('retries', q.count)],
  ['timeout', one('timeout', q.seconds)],
  ['no-cache', flag('never')],
  ['cache', flag('live')],
  ['in', list('inputs', q.identifier)],
  ['out', list('outputs', q.identifier)],
  ['reads', list('reads', q.path)],
  ['writes', list('writes', q.path)],
  ['metrics', list('metrics', q.identifier)],
  ['metric', { field: 'thresholds', read: threshold, shape: 'each' }],
  ['model', one('model', q.identifier)],
  ['register', one('register', q.modelName)],
  ['env', { field: 'env', read: q.env, shape: 'pairs' }],
]);

/** Read one written option into `given`; `text` is null where no value was written. */
export function addOption(given: Given, name: string, text: string | null, kind: string): void {
  const option = OPTIONS.get(name);
  if (!option) {
    const all = [...OPTIONS.keys()].map((known) => `--${known}`).join(', ');
    throw new GrammarError(`there is no option --${name}`, `The options are ${all}.`);
  }
  if (name === 'metric' && kind !== 'check') {
    throw new GrammarError(
      '--metric is a threshold, and only a check may have one',
      'Write it on a %%check.',
    );
  }
  if ((option.shape === 'flag') !== (text === null)) {
    throw new GrammarError(`--${name} ${option.shape === 'flag' ? 'takes no value' : 'needs a value'}`);
  }
  let value: unknown;
  try {
    value = valueOf(option, text ?? '');
  } catch (error) {
    throw new GrammarError(`--${name}: ${(error as Error).message}`);
  }
  join(given, name, option.field, value);
}

/** Throw where options make no sense together. */
export function checkTogether(given: Given): void {
  if ('register' in given && !('model' in given)) {
    throw new GrammarError('--register needs --model', 'Add --model NAME: the variable to register.');
  }
}

function valueOf(option: Option, text: string): unknown {
  switch (option.shape) {
    case 'flag':
      return option.sets;
    case 'pairs':
      return Object.fromEntries([option.read(text) as [string, string]]);
    case 'each':
      return [option.read(text)];
    case 'list': {
      const parts = text.split(',').map((part) => part.trim());
      if (parts.includes('')) {
        throw new Error(`${shown(text)} has an empty item`);
      }
      return [...new Set(parts.map(option.read))];
    }
    default:
      return option.read(text);
  }
}

function join(given: Given, name: string, field: string, value: unknown): void {
  const before = given[field];
  if (before === undefined) {
    given[field] = value;
  } else if (Array.isArray(before) && Array.isArray(value)) {
    given[field] = [...new Set<unknown>([...(before as unknown[]), ...(value as unknown[])])];
  } else if (field === 'env') {
    const known = before as Record<string, string>;
    for (const [key, item] of Object.entries(value as Record<string, string>)) {
      if ((known[key] ?? item) !== item) {
        throw new GrammarError(`--env ${key} is given twice, with two values`, 'Keep one of them.');
      }
    }
    given[field] = { ...known, ...(value as Record<string, string>) };
  } else if (before !== value) {
    throw new GrammarError(
      field === 'cache'
        ? '--cache and --no-cache contradict each other'
        : `--${name} is given twice, with two values`,
      'Keep one of them.',
    );
  }
}
