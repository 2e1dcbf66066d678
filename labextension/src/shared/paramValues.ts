import type { Json, PipelineParam, Values } from './api';
import { ENGLISH, type Words } from './words';

/** What is typed for a value, and the value that was typed; an answer is a value, a problem, or neither for an empty field. */
export type Typed = { value: Json } | { problem: string } | undefined;

/** A value as people type it: text as it is, anything else as JSON. */
export function typed(value: Json | undefined): string {
  return value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);
}

/** Reads a field; the types are those of `docs/formats/pipeline.md`. */
export function readValue(param: PipelineParam, text: string, trans: Words = ENGLISH): Typed {
  const word = text.trim();
  if (param.type === 'str') {
    return text === '' ? undefined : { value: text };
  }
  if (word === '') {
    return undefined;
  }
  switch (param.type) {
    case 'int':
      return /^[+-]?\d+$/.test(word) && Number.isSafeInteger(Number(word))
        ? { value: Number(word) }
        : { problem: trans.__('a whole number, such as 10') };
    case 'float':
      return word !== '' && Number.isFinite(Number(word)) && !/^[+-]?0[xob]/i.test(word)
        ? { value: Number(word) }
        : { problem: trans.__('a number, such as 0.01 or 1e-3') };
    case 'bool':
      return word === 'true' || word === 'false'
        ? { value: word === 'true' }
        : { problem: trans.__('true or false') };
    case 'list':
      return json(word, Array.isArray, trans.__('a list as JSON, such as [64, 32]'));
    case 'dict':
      return json(
        word,
        (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
        trans.__('an object as JSON, such as {"a": 1}'),
      );
    default:
      return json(word, () => true, '') ?? { value: word };
  }
}

/** For a type that may be anything, what is no JSON is text: no problem is told then. */
function json(word: string, fits: (value: unknown) => boolean, wanted: string): Typed {
  try {
    const value = JSON.parse(word) as Json;
    return fits(value) ? { value } : { problem: wanted };
  } catch {
    return wanted ? { problem: wanted } : undefined;
  }
}

/** Equal as JSON; the order of an object's keys counts for nothing. */
export function same(a: Json | undefined, b: Json | undefined): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: Json | undefined): Json | undefined {
  if (Array.isArray(value)) {
    return value.map((item) => sorted(item) ?? null);
  }
  return value !== null && typeof value === 'object'
    ? Object.fromEntries(
        Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, item]) => [key, sorted(item) ?? null]),
      )
    : value;
}

/** What a run takes where nothing is typed: the profile's value, else the default. */
export function usual(param: PipelineParam, profile: Values | undefined): Json | undefined {
  return profile && param.name in profile ? profile[param.name] : param.required ? undefined : param.default;
}
