import { useWords, type Words } from './words';

/** Status is always symbol, word and colour: none of them alone. */
const SYMBOLS: Record<string, string> = {
  waiting: '○',
  running: '◐',
  cached: '⚡',
  succeeded: '✓',
  failed: '✗',
  rejected: '⊘',
  timeout: '✗',
  lost: '✗',
  cancelled: '■',
  interrupted: '■',
  skipped: '·',
  fresh: '✓',
  stale: '⟳',
  'to run': '▷',
  'not run': '○',
};

/** The word for a status; one that is not known here is shown as it came. */
export function statusWord(status: string, trans: Words): string {
  switch (status) {
    case 'waiting':
      return trans.__('waiting');
    case 'running':
      return trans.__('running');
    case 'cached':
      return trans.__('cached');
    case 'succeeded':
      return trans.__('succeeded');
    case 'failed':
      return trans.__('failed');
    case 'rejected':
      return trans.__('rejected');
    case 'timeout':
      return trans.__('timeout');
    case 'lost':
      return trans.__('lost');
    case 'cancelled':
      return trans.__('cancelled');
    case 'interrupted':
      return trans.__('interrupted');
    case 'skipped':
      return trans.__('skipped');
    case 'fresh':
      return trans.__('fresh');
    case 'stale':
      return trans.__('stale');
    case 'to run':
      return trans.__('to run');
    case 'not run':
      return trans.__('not run');
    case 'unknown':
      return trans.__('unknown');
    default:
      return status;
  }
}

export const STATUSES = ['running', 'succeeded', 'failed', 'rejected', 'cancelled', 'interrupted'];

export function Status({ status, note }: { status: string; note?: string }) {
  const word = statusWord(status, useWords());
  const known = status in SYMBOLS ? status.replace(' ', '-') : 'unknown';
  return (
    <span className={`nbp-status nbp-status-${known}`} title={word}>
      <span className="nbp-symbol" aria-hidden="true">
        {SYMBOLS[status] ?? '?'}
      </span>
      <span className="nbp-word">{word}</span>
      {note ? <span className="nbp-dim"> {note}</span> : null}
    </span>
  );
}
