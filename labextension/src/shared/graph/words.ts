import type { StageKind } from '../api';
import { statusWord } from '../Status';
import { ENGLISH, type Words } from '../words';
import type { Link } from './links';
import { timeOf, type Mark } from './marks';

/** `X, y and 3 more`. */
export function listed(names: string[], trans: Words, most = 4): string {
  const more = names.length - most;
  return more > 1 ? trans.__('%1 and %2 more', names.slice(0, most).join(', '), more) : names.join(', ');
}

/** Ambient state has names such as `@random`, which people do not write. */
const bare = (name: string): string => name.replace(/^@/, '');
const state = (name: string, trans: Words): string => trans.__('state of %1', bare(name));

/** What an edge carries, in words. */
export function carried({ names, kind }: Link, trans: Words = ENGLISH): string {
  const what = listed(
    names.map((name) => (kind !== 'ambient' && name.startsWith('@') ? state(name, trans) : bare(name))),
    trans,
  );
  return kind === 'after'
    ? trans.__('comes after')
    : kind === 'file'
      ? trans.__('file %1', what)
      : kind === 'ambient'
        ? trans.__('state of %1', what || trans.__('a module'))
        : what || trans.__('order only');
}

/** `needs X, y from prepare; gives model to evaluate, report`. */
export function relations(name: string, links: Link[], trans: Words = ENGLISH): string {
  const needs = links
    .filter((link) => link.target === name)
    .map((link) =>
      link.kind === 'after'
        ? trans.__('comes after %1', link.source)
        : trans.__('%1 from %2', carried(link, trans), link.source),
    );
  const gives = new Map<string, string[]>();
  for (const link of links.filter((one) => one.source === name && one.kind !== 'after')) {
    const what = carried(link, trans);
    gives.set(what, [...(gives.get(what) ?? []), link.target]);
  }
  const given = [...gives].map(([what, targets]) => trans.__('%1 to %2', what, listed(targets, trans)));
  return [
    needs.length > 0 ? trans.__('needs %1', listed(needs, trans)) : '',
    given.length > 0 ? trans.__('gives %1', listed(given, trans)) : '',
  ]
    .filter(Boolean)
    .join('; ');
}

/** What a screen reader says of a stage. */
export function spoken(
  stage: { name: string; kind: StageKind },
  mark: Mark | undefined,
  links: Link[],
  trans: Words = ENGLISH,
): string {
  const errors = mark?.errors ?? 0;
  return [
    stage.kind === 'check' ? trans.__('check %1', stage.name) : stage.name,
    statusWord(mark?.state ?? 'unknown', trans),
    timeOf(mark, Date.now() / 1000, trans),
    errors > 0 ? trans._n('%1 problem', '%1 problems', errors) : '',
    relations(stage.name, links, trans),
  ]
    .filter(Boolean)
    .join(', ');
}
