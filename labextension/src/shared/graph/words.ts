import type { StageKind } from '../api';
import type { Link } from './links';
import { timeOf, type Mark } from './marks';

/** `X, y and 3 more`. */
export function listed(names: string[], most = 4): string {
  const more = names.length - most;
  return more > 1 ? `${names.slice(0, most).join(', ')} and ${more} more` : names.join(', ');
}

/** What an edge carries, in words. */
export function carried({ names, kind }: Link): string {
  const what = listed(names);
  return kind === 'after'
    ? 'comes after'
    : kind === 'file'
      ? `file ${what}`
      : kind === 'ambient'
        ? `state of ${what || 'a module'}`
        : what || 'order only';
}

/** `needs X, y from prepare; gives model to evaluate, report`. */
export function relations(name: string, links: Link[]): string {
  const needs = links
    .filter((link) => link.target === name)
    .map((link) =>
      link.kind === 'after' ? `comes after ${link.source}` : `${carried(link)} from ${link.source}`,
    );
  const gives = new Map<string, string[]>();
  for (const link of links.filter((one) => one.source === name && one.kind !== 'after')) {
    gives.set(carried(link), [...(gives.get(carried(link)) ?? []), link.target]);
  }
  return [
    needs.length > 0 ? `needs ${listed(needs)}` : '',
    gives.size > 0
      ? `gives ${listed([...gives].map(([what, targets]) => `${what} to ${listed(targets)}`))}`
      : '',
  ]
    .filter(Boolean)
    .join('; ');
}

/** What a screen reader says of a stage. */
export function spoken(
  stage: { name: string; kind: StageKind },
  mark: Mark | undefined,
  links: Link[],
): string {
  const errors = mark?.errors ?? 0;
  return [
    stage.kind === 'check' ? `check ${stage.name}` : stage.name,
    mark?.state ?? 'unknown',
    timeOf(mark, Date.now() / 1000),
    errors > 0 ? `${errors} ${errors === 1 ? 'problem' : 'problems'}` : '',
    relations(stage.name, links),
  ]
    .filter(Boolean)
    .join(', ');
}
