import type { ChangeKind } from '../types';

const SYMBOLS: Partial<Record<string, string>> = {
  same: '=',
  changed: '~',
  added: '+',
  removed: '−',
  renamed: '→',
};

/** Symbol, word and colour of a change. */
export function Change({ change }: { change: ChangeKind | undefined }) {
  const kind: string = change ?? 'same';
  return (
    <span className={`nbp-change nbp-change-${kind in SYMBOLS ? kind : 'changed'}`}>
      <span aria-hidden="true">{SYMBOLS[kind] ?? '~'}</span> {kind}
    </span>
  );
}

export function Nothing({ what }: { what: string }) {
  return <p className="nbp-hint">{what}</p>;
}
