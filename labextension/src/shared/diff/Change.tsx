import type { ChangeKind } from '../types';
import { useWords, type Words } from '../words';

const SYMBOLS: Partial<Record<string, string>> = {
  same: '=',
  changed: '~',
  added: '+',
  removed: '−',
  renamed: '→',
};

function word(kind: string, trans: Words): string {
  switch (kind) {
    case 'same':
      return trans.__('same');
    case 'changed':
      return trans.__('changed');
    case 'added':
      return trans.__('added');
    case 'removed':
      return trans.__('removed');
    case 'renamed':
      return trans.__('renamed');
    default:
      return kind;
  }
}

/** Symbol, word and colour of a change. */
export function Change({ change }: { change: ChangeKind | undefined }) {
  const trans = useWords();
  const kind: string = change ?? 'same';
  return (
    <span className={`nbp-change nbp-change-${kind in SYMBOLS ? kind : 'changed'}`}>
      <span aria-hidden="true">{SYMBOLS[kind] ?? '~'}</span> {word(kind, trans)}
    </span>
  );
}

export function Nothing({ what }: { what: string }) {
  return <p className="nbp-hint">{what}</p>;
}
