import type { TranslationBundle } from '@jupyterlab/translation';

import { ago, duration } from '../../shared/format';
import { staleIn } from '../../shared/serverWords';
import { statusWord } from '../../shared/Status';
import type { Badge, BadgeState } from './state';

/** The word for a state, translated. */
export function wordOf(trans: TranslationBundle, state: BadgeState): string {
  switch (state) {
    case 'waiting':
      return trans.__('waiting');
    case 'running':
      return trans.__('running');
    case 'succeeded':
      return trans.__('succeeded');
    case 'cached':
      return trans.__('cached');
    case 'edited':
      return trans.__('edited');
    case 'stale':
      return trans.__('stale');
    case 'failed':
      return trans.__('failed');
    case 'rejected':
      return trans.__('rejected');
    case 'stopped':
      return trans.__('stopped');
    case 'wrong':
      return trans.__('not understood');
    default:
      return '';
  }
}

/** What the cell is called in the badge: its stage, or what else it is in the pipeline. */
export function titleOf(trans: TranslationBundle, badge: Badge): string {
  switch (badge.role) {
    case 'stage':
    case 'check':
      return badge.name || (badge.role === 'check' ? trans.__('check') : trans.__('stage'));
    case 'params':
      return trans.__('params');
    case 'profile':
      return trans.__('profile %1', badge.name);
    case 'setup':
      return trans.__('setup');
    default:
      return trans.__('skipped');
  }
}

/** One line of the card: what, and its value. */
export type Line = [string, string];

/** What the card shows of a badge: needs, gives, when it ran, and why it is as it is. */
export function linesOf(trans: TranslationBundle, badge: Badge, run: string, now: number): Line[] {
  const lines: Line[] = [];
  const add = (what: string, values: string[]): void => {
    if (values.length) {
      lines.push([what, values.join(', ')]);
    }
  };
  const { stage, live, row } = badge;
  if (stage) {
    const inputs = Object.entries(stage.inputs).map(([name, from]) => `${name} (${from})`);
    add(trans.__('needs'), [...inputs, ...stage.params, ...stage.reads]);
    add(trans.__('gives'), [...stage.outputs, ...stage.writes]);
  }
  if (live?.started) {
    const took = live.seconds === null ? '' : `, ${duration(live.seconds)}`;
    add(trans.__('last run here'), [`${ago(live.started, now, trans)}${took}`]);
  }
  if (row && row.status !== 'waiting') {
    const took = row.seconds ? `, ${duration(row.seconds)}` : '';
    add(trans.__('last run'), [`${run} ${statusWord(row.status, trans)}${took}`]);
  }
  if (badge.reasons.length) {
    const word = wordOf(trans, badge.state === 'succeeded' ? 'none' : badge.state) || trans.__('note');
    lines.push(
      ...badge.reasons.slice(0, 6).map((reason, n): Line => [n ? '' : word, staleIn(trans, reason)]),
    );
  }
  return lines;
}
