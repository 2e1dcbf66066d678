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

export const STATUSES = ['running', 'succeeded', 'failed', 'rejected', 'cancelled', 'interrupted'];

export function Status({ status, note }: { status: string; note?: string }) {
  const known = status in SYMBOLS ? status.replace(' ', '-') : 'unknown';
  return (
    <span className={`nbp-status nbp-status-${known}`} title={status}>
      <span className="nbp-symbol" aria-hidden="true">
        {SYMBOLS[status] ?? '?'}
      </span>
      <span className="nbp-word">{status}</span>
      {note ? <span className="nbp-dim"> {note}</span> : null}
    </span>
  );
}
