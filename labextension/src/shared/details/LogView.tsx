import { useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';

import { problemText } from '../backend';
import { plain } from './ansi';
import { LogLine } from './LogLines';
import { useLog, wholeLog, type ReadLog } from './useLog';
import { whole } from '../format';
import { useWords } from '../words';

/** Height of a line, and how many are drawn above and below what is seen. */
const LINE = 18;
const SPARE = 20;

interface Props {
  /** Has to stay the same function while the run stays the same. */
  read: ReadLog;
  /** Names to choose from beside the log of the whole run. */
  stages: string[];
  /** "" for the whole run. */
  stage: string;
  onStage: (stage: string) => void;
  /** Of the file that is downloaded, without ending: `r43`. */
  name: string;
  /** Of the lines, in pixels; without, as high as what it lies in. */
  height?: number;
}

/** A log: colours, follow, search, per stage, download. Only the lines that are seen are in the document. */
export function LogView({ read, stages, stage, onStage, name, height }: Props) {
  const trans = useWords();
  const { log, rev, over, problem, again } = useLog(read, stage);
  const [follow, setFollow] = useState(true);
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const [trouble, setTrouble] = useState('');
  const [top, setTop] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLInputElement>(null);
  // The log is one object that grows; `rev` says when.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const found = useMemo(() => log.search(typed.trim()), [log, rev, typed]);
  const lines = log.count;
  const room = box.current?.clientHeight || height || 400;
  const first = Math.max(Math.floor(top / LINE) - SPARE, 0);
  const last = Math.min(Math.ceil((top + room) / LINE) + SPARE, lines);
  const current = found[at];

  // Before anything is painted, and before a scroll that ends following.
  useLayoutEffect(() => {
    if (follow && box.current) {
      box.current.scrollTop = box.current.scrollHeight;
      setTop(box.current.scrollTop);
    }
  }, [follow, rev, log]);

  const show = (line: number | undefined) => {
    if (line !== undefined && box.current) {
      setFollow(false);
      box.current.scrollTop = Math.max(line * LINE - room / 2, 0);
      setTop(box.current.scrollTop);
    }
  };
  const go = (by: number) => {
    if (found.length > 0) {
      const next = (at + by + found.length) % found.length;
      setAt(next);
      show(found[next]);
    }
  };
  const search = (text: string) => {
    setTyped(text);
    const matches = log.search(text.trim());
    const here = matches.findIndex((line) => line * LINE >= top);
    setAt(Math.max(here, 0));
    show(matches[Math.max(here, 0)]);
  };
  const keys = (event: KeyboardEvent) => {
    if ((event.ctrlKey || event.metaKey) && event.key === 'f') {
      event.preventDefault();
      event.stopPropagation();
      field.current?.focus();
    } else if (event.key === 'F3') {
      event.preventDefault();
      go(event.shiftKey ? -1 : 1);
    }
  };
  const download = () => {
    setTrouble('');
    wholeLog(read, stage).then(
      (text) => save(`${[name, stage].filter(Boolean).join('-')}.log`, plain(text)),
      (error: unknown) => setTrouble(problemText(error)),
    );
  };
  return (
    <section className="nbp-log" aria-label={trans.__('log of %1', stage || name)} onKeyDown={keys}>
      <header className="nbp-toolbar">
        <select
          aria-label={trans.__('stage')}
          value={stage}
          onChange={(event) => onStage(event.currentTarget.value)}
        >
          <option value="">{trans.__('all stages')}</option>
          {stages.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
        <input
          ref={field}
          type="search"
          className="nbp-input"
          placeholder={trans.__('Search the log')}
          aria-label={trans.__('search the log')}
          value={typed}
          onInput={(event) => search(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter') {
              event.preventDefault();
              go(event.shiftKey ? -1 : 1);
            }
          }}
        />
        {typed.trim() ? (
          <>
            <span className="nbp-dim" role="status">
              {found.length > 0
                ? trans.__('%1 of %2', Math.min(at, found.length - 1) + 1, found.length)
                : trans.__('nothing found')}
            </span>
            <button
              type="button"
              className="nbp-button"
              aria-label={trans.__('previous match')}
              onClick={() => go(-1)}
            >
              ↑
            </button>
            <button
              type="button"
              className="nbp-button"
              aria-label={trans.__('next match')}
              onClick={() => go(1)}
            >
              ↓
            </button>
          </>
        ) : null}
        <span className="nbp-grow" />
        <label className="nbp-option" title={trans.__('Stay at the end while the log grows')}>
          <input type="checkbox" checked={follow} onChange={() => setFollow(!follow)} />
          {trans.__('follow')}
        </label>
        <button type="button" className="nbp-button" onClick={download}>
          {trans.__('Download')}
        </button>
      </header>
      {problem || trouble ? (
        <p className="nbp-problem" role="alert">
          {problem || trouble}{' '}
          {problem ? (
            <button type="button" className="nbp-link" onClick={again}>
              {trans.__('Try again')}
            </button>
          ) : null}
        </p>
      ) : null}
      <div
        className="nbp-lines"
        ref={box}
        role="log"
        aria-live="off"
        aria-label={trans.__('lines')}
        tabIndex={0}
        style={height ? { height, flex: 'none' } : undefined}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          setTop(scrollTop);
          setFollow(scrollHeight - scrollTop - clientHeight < LINE);
        }}
      >
        {lines === 0 ? (
          <p className="nbp-hint">
            {over ? trans.__('Nothing was printed.') : trans.__('Nothing was printed yet.')}
          </p>
        ) : (
          <div style={{ height: lines * LINE, paddingTop: first * LINE }}>
            {Array.from({ length: Math.max(last - first, 0) }, (_, n) => first + n).map((line) => (
              <div key={line} className={line === current ? 'nbp-line-now' : undefined} data-line={line + 1}>
                <LogLine pieces={log.spans(line)} mark={typed.trim()} />
              </div>
            ))}
          </div>
        )}
      </div>
      <p className="nbp-log-end nbp-dim" role="status">
        {over
          ? trans._n('%2 line', '%2 lines', lines + log.dropped, whole(lines + log.dropped))
          : trans.__('following …')}
        {log.dropped > 0
          ? `; ${trans._n('the first line only in the download', 'the first %2 lines only in the download', log.dropped, whole(log.dropped))}`
          : ''}
      </p>
    </section>
  );
}

function save(name: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
