import { useRef, useState } from 'react';

import type { SuggestedCell } from './api';
import { count } from './format';

export interface SuggestListProps {
  /** Of a `SuggestView`, those that are still open. */
  cells: SuggestedCell[];
  notes?: string[];
  /** `name` is the suggested one, or what the user made of it. */
  onAccept: (cell: SuggestedCell, name: string) => void;
  onAcceptAll: (cells: { cell: SuggestedCell; name: string }[]) => void;
  onSkip: (cell: SuggestedCell) => void;
  /** Show the cell in the notebook. */
  onJump: (cell: SuggestedCell) => void;
}

/** As `nbpipe.notebook` has it. */
const NAME = /^[a-z][a-z0-9_-]{0,62}$/;

/** What the suggested line is when its stage is called otherwise. */
export function renamed(cell: SuggestedCell, name: string): string {
  const [, magic = '', word = '', rest = ''] = /^(%%\S+\s+)(\S+)(.*)$/.exec(cell.line) ?? [];
  return word !== '' && word === cell.name ? magic + name + rest : cell.line;
}

/** Stages that are proposed for a notebook: each can be taken, renamed or skipped; A, R and S are keys for it. */
export function SuggestList(props: SuggestListProps) {
  const { cells, notes = [], onAccept, onAcceptAll, onSkip, onJump } = props;
  const [names, setNames] = useState<Record<number, string>>({});
  const [editing, setEditing] = useState<number>();
  const root = useRef<HTMLOListElement>(null);
  const nameOf = (cell: SuggestedCell) => names[cell.cell] ?? cell.name;
  const taken = (cell: SuggestedCell, name: string) =>
    cells.some(
      (other) =>
        other.cell !== cell.cell && other.name !== '' && other.name !== cell.name && nameOf(other) === name,
    );
  const focusBeside = (at: number) => {
    const items = root.current?.querySelectorAll<HTMLElement>('li') ?? [];
    (items[at + 1] ?? items[at - 1])?.focus();
  };
  if (cells.length === 0) {
    return <p className="nbp-hint">Nothing is left to suggest.</p>;
  }
  return (
    <section className="nbp-suggest" aria-label="suggested stages">
      <header className="nbp-toolbar">
        <span className="nbp-dim nbp-grow">{count(cells.length, 'suggestion')}</span>
        <button
          type="button"
          className="nbp-button nbp-primary"
          onClick={() => onAcceptAll(cells.map((cell) => ({ cell, name: nameOf(cell) })))}
        >
          Accept all
        </button>
      </header>
      <ol ref={root}>
        {cells.map((cell, at) => (
          <li
            key={cell.cell}
            tabIndex={-1}
            aria-label={`cell ${cell.cell}: ${nameOf(cell) || cell.role}`}
            onKeyDown={(event) => {
              const target = event.target as HTMLElement;
              if (target.tagName === 'INPUT' || event.ctrlKey || event.metaKey || event.altKey) {
                return;
              }
              const items = [...(root.current?.querySelectorAll<HTMLElement>('li') ?? [])];
              const acts: Record<string, () => void> = {
                a: () => {
                  focusBeside(at);
                  onAccept(cell, nameOf(cell));
                },
                s: () => {
                  focusBeside(at);
                  onSkip(cell);
                },
                r: () => cell.name && setEditing(cell.cell),
                ArrowDown: () => items[at + 1]?.focus(),
                ArrowUp: () => items[at - 1]?.focus(),
              };
              const act = acts[event.key];
              if (act) {
                event.preventDefault();
                event.stopPropagation();
                act();
              }
            }}
          >
            {editing === cell.cell ? (
              <Rename
                name={nameOf(cell)}
                taken={(name) => taken(cell, name)}
                onDone={(name) => {
                  if (name !== undefined) {
                    setNames((now) => ({ ...now, [cell.cell]: name }));
                  }
                  setEditing(undefined);
                  root.current?.querySelectorAll<HTMLElement>('li')[at]?.focus();
                }}
              />
            ) : (
              <button type="button" className="nbp-link nbp-suggest-line" onClick={() => onJump(cell)}>
                <code>{renamed(cell, nameOf(cell))}</code>
              </button>
            )}
            <span className="nbp-dim nbp-suggest-why">
              cell {cell.cell}
              {cell.why ? ` · ${cell.why}` : ''}
            </span>
            <span className="nbp-suggest-acts">
              <button type="button" className="nbp-link" onClick={() => onAccept(cell, nameOf(cell))}>
                Accept
              </button>
              {cell.name ? (
                <button type="button" className="nbp-link" onClick={() => setEditing(cell.cell)}>
                  Rename
                </button>
              ) : null}
              <button type="button" className="nbp-link" onClick={() => onSkip(cell)}>
                Skip
              </button>
            </span>
          </li>
        ))}
      </ol>
      {notes.map((text) => (
        <p key={text} className="nbp-hint">
          {text}
        </p>
      ))}
    </section>
  );
}

interface RenameProps {
  name: string;
  taken: (name: string) => boolean;
  /** Without a name: it was given up. */
  onDone: (name?: string) => void;
}

function Rename({ name, taken, onDone }: RenameProps) {
  const [text, setText] = useState(name);
  const problem = !NAME.test(text)
    ? 'small letters, digits, _ and -; a letter first'
    : taken(text)
      ? 'another stage has this name'
      : '';
  return (
    <span className="nbp-suggest-rename">
      <input
        className="nbp-input"
        aria-label="name of the stage"
        aria-invalid={problem ? true : undefined}
        ref={(field) => {
          if (field && field.ownerDocument.activeElement !== field && !field.dataset['seen']) {
            field.dataset['seen'] = 'yes';
            field.focus();
            field.select();
          }
        }}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && !problem) {
            event.preventDefault();
            onDone(text);
          } else if (event.key === 'Escape') {
            event.stopPropagation();
            onDone();
          }
        }}
        onBlur={() => onDone(problem ? undefined : text)}
      />
      {problem ? (
        <span className="nbp-bad" role="alert">
          {problem}
        </span>
      ) : null}
    </span>
  );
}
