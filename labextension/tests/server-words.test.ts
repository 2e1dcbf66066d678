import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { fixIn, reasonIn, refusalIn, staleIn } from '../src/shared/serverWords';
import { ENGLISH, type Words } from '../src/shared/words';

const NBPIPE = join(import.meta.dirname, '../../nbpipe');
/** Somebody's language: everything that is translated is in brackets. */
const OTHER: Words = {
  __: (text, ...args) => `[${ENGLISH.__(text, ...args)}]`,
  _n: (one, many, n, ...args) => `[${ENGLISH._n(one, many, n, ...args)}]`,
};

/** Texts that follow `before` in these files of the Python sources, `X` where something is filled in. */
function textsOf(before: RegExp, ...files: string[]): string[] {
  const found = files.flatMap((file) => {
    const code = readFileSync(join(NBPIPE, file), 'utf8');
    return [...code.matchAll(new RegExp(`${before.source}f?"((?:[^"\\\\]|\\\\.)*)"`, 'g'))].map(
      (match) => match[1] ?? '',
    );
  });
  return found.map((text) => text.replace(/\{[^}]*\}/g, 'X'));
}

test('every reason for being stale is known here', () => {
  const texts = textsOf(/(?:\breason\("\w+", |unknown\()/, 'live/reasons.py').filter(
    (text) => !/ X$/.test(text),
  );
  expect(texts.length).toBeGreaterThan(15);
  expect(texts.filter((text) => staleIn(OTHER, text) === text)).toEqual([]);
  expect(staleIn(OTHER, "'lr' is 0.2 now, it ran with 0.1")).toBe("['lr' is 0.2 now, it ran with 0.1]");
  for (const end of ['was edited after it ran', 'had not run before it']) {
    expect(staleIn(OTHER, `the %%setup cell 1 ${end}`)).toBe(`[the %%setup cell 1 ${end}]`);
  }
  for (const end of ['was edited and has not run since', 'has not run']) {
    const text = `the %%params cell 1, which gives 'lr', ${end}`;
    expect(staleIn(OTHER, text)).toBe(`[${text}]`);
  }
});

test('every reason of a plan is known here, also several in one text', () => {
  const texts = textsOf(/(?:return None, \(|or \(|\breturn )/, 'plan/planner.py', 'plan/explain.py').filter(
    (text) => /[a-z]{3} /.test(text),
  );
  expect(texts.length).toBeGreaterThan(5);
  expect(texts.filter((text) => reasonIn(OTHER, text) === text)).toEqual([]);
  expect(reasonIn(OTHER, 'cell 3 line 2 changed; `lr` 0.1 → 0.2; first run')).toBe(
    '[cell 3 line 2 changed]; `lr` 0.1 → 0.2; [first run]',
  );
  expect(reasonIn(OTHER, 'a, b and c run')).toBe('[a, b and c run]');
  expect(reasonIn(OTHER, 'from r41')).toBe('[from r41]');
});

test('every fix of one click is known here, and everything that the server refuses a click with', () => {
  const labels = textsOf(/label ?= ?/, ...files('check'));
  expect(labels.length).toBeGreaterThan(3);
  expect(labels.filter((text) => fixIn(OTHER, text) === text)).toEqual([]);
  const refusals = textsOf(/Refused\(\s*(?:409|429|501|503),\s*"[\w-]+",\s*/, ...files('server'));
  expect(refusals.length).toBeGreaterThan(5);
  expect(refusals.filter((text) => refusalIn(OTHER, text) === text)).toEqual([]);
});

test('a text that is not known, and what is a user’s own, stay as they are', () => {
  for (const say of [reasonIn, staleIn, fixIn, refusalIn]) {
    expect(say(OTHER, 'something else; and more')).toBe('something else; and more');
    expect(say(OTHER, '')).toBe('');
  }
  expect(fixIn(OTHER, 'Install <b>$&</b>')).toBe('[Install <b>$&</b>]');
});

function files(folder: string): string[] {
  return readdirSync(join(NBPIPE, folder))
    .filter((name) => name.endsWith('.py'))
    .map((name) => `${folder}/${name}`);
}
