import type { TranslationBundle } from '@jupyterlab/translation';

import type { Problem } from '../../shared/api';
import { staleIn } from '../../shared/serverWords';
import { isStage, type Badge } from './state';

/** Stages whose variables in the kernel are stale, as problems of their first cells; what runs them is one click. */
export function staleProblems(badges: ReadonlyMap<string, Badge>, trans: TranslationBundle): Problem[] {
  const all = [...badges];
  // A run of cells in the kernel begins with what every stage may use.
  const first = all.filter(([, { role }]) => role === 'params' || role === 'setup').map(([id]) => id);
  return all.flatMap(([id, badge]): Problem[] => {
    const { live, name } = badge;
    if (!isStage(badge) || live?.state !== 'stale' || badge.part[0] !== 1) {
      return [];
    }
    const cells = all
      .filter(([, other]) => isStage(other) && live.run.includes(other.name))
      .map(([cell]) => cell);
    const reasons = live.reasons.map((reason) => staleIn(trans, reason.text)).join('; ');
    const action = {
      kind: 'run-cell' as const,
      label: trans.__('Run %1 here', live.run.join(', ')),
      cell: null,
      id,
      source: [...first, ...cells].join(' '),
    };
    return [
      {
        severity: 'warning',
        code: 'stale',
        message: trans.__('what it computed here is stale: %1', reasons),
        fix: '',
        cell: null,
        id,
        line: null,
        stage: name,
        name: '',
        actions: cells.length ? [action] : [],
      },
    ];
  });
}
