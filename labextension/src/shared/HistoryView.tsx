import { useEffect, useRef, useState, useSyncExternalStore, type ReactNode } from 'react';

import { narrowColumns, shownColumns } from './columns';
import { CompareView } from './CompareView';
import { DiffView } from './DiffView';
import { FilterBar } from './FilterBar';
import { whole } from './format';
import { ProgressPanel } from './ProgressView';
import { RunTable } from './RunTable';
import type { HistoryStore } from './store';
import { useTick } from './useTick';
import { useWords } from './words';

type Below =
  | { kind: 'none' }
  | { kind: 'run'; run: string }
  | { kind: 'compare' }
  | { kind: 'diff'; a: string; b: string };

/** What a host with places of its own does: the sidebar opens runs in its details, and comparisons in tabs. */
export interface HistoryHost {
  open: (run: string) => void;
  compare: () => void;
  /** At this place of the window. */
  menu: (run: string, place: { x: number; y: number }) => void;
  stop: (run: string) => void;
  /** The run that is open. */
  opened: string;
  /** A row above all others: the present. */
  top?: ReactNode;
  /** Instead of the sentence about an empty history. */
  empty?: ReactNode;
}

interface Props {
  store: HistoryStore;
  /** Pixels, or as much as there is. */
  height?: number | 'fill';
  host?: HistoryHost;
}

/** The history: search, table, and what is opened below it, where no host opens it elsewhere. */
export function HistoryView({ store, height = 360, host }: Props) {
  const trans = useWords();
  const state = useSyncExternalStore(store.subscribe, store.get);
  const [below, setBelow] = useState<Below>({ kind: 'none' });
  const root = useRef<HTMLElement>(null);
  const opened = useRef<HTMLDivElement>(null);
  const columns = (host ? narrowColumns : shownColumns)(state.names, state.columns, store.atHand(), trans);
  const { selected, total } = state;
  const running = store.atHand().some((row) => row.status === 'running');
  useTick(running);

  const compare = () => {
    if (selected.length > 1) {
      if (host) {
        host.compare();
      } else {
        setBelow({ kind: 'compare' });
      }
    }
  };
  const close = () => {
    setBelow({ kind: 'none' });
    root.current?.querySelector<HTMLElement>('tr[tabindex="0"]')?.focus();
  };
  useEffect(() => {
    if (below.kind !== 'none') {
      opened.current?.focus();
    }
  }, [below]);

  return (
    <section
      className={host ? 'nbp-history nbp-hosted' : 'nbp-history'}
      ref={root}
      aria-label={trans.__('nbpipe history')}
    >
      <header className="nbp-toolbar">
        <h2 className="nbp-title">
          {trans.__('History')}{' '}
          <span className="nbp-dim">{trans._n('%2 run', '%2 runs', total, whole(total))}</span>
        </h2>
        <FilterBar store={store} state={state} shown={columns} />
        <span className="nbp-grow" />
        {state.unseen > 0 ? (
          <button type="button" className="nbp-button" onClick={() => store.refresh()}>
            {trans._n('%2 new run', '%2 new runs', state.unseen, whole(state.unseen))}
          </button>
        ) : null}
        {selected.length > 0 ? (
          <button type="button" className="nbp-button" onClick={() => store.select([])}>
            {trans.__('Clear')}
          </button>
        ) : null}
        {host && selected.length === 0 ? null : (
          <button
            type="button"
            className="nbp-button nbp-primary"
            disabled={selected.length < 2}
            title={
              selected.length < 2
                ? trans.__('Check two runs or more (Space)')
                : trans.__('Compare the checked runs (C)')
            }
            onClick={compare}
          >
            {selected.length > 0 ? trans.__('Compare %1', selected.length) : trans.__('Compare')}
          </button>
        )}
      </header>
      {state.problem ? (
        <p className="nbp-problem" role="alert">
          {state.problem}
        </p>
      ) : null}
      {state.remarks.map((text) => (
        <p key={text} className="nbp-hint">
          {text}
        </p>
      ))}
      {host?.top ? <div className="nbp-top">{host.top}</div> : null}
      {total === 0 && !state.loading ? (
        (host && !filtered(state.query) && host.empty) || (
          <Empty store={store} filtered={filtered(state.query)} />
        )
      ) : (
        <RunTable
          store={store}
          state={state}
          columns={columns}
          height={height}
          host={host}
          onOpen={host?.open ?? ((run) => setBelow({ kind: 'run', run }))}
          onCompare={compare}
        />
      )}
      <p className="nbp-hidden" aria-live="polite">
        {state.said}
      </p>
      {below.kind === 'none' ? null : (
        <div
          className="nbp-below"
          ref={opened}
          tabIndex={-1}
          onKeyDown={(event) => event.key === 'Escape' && close()}
        >
          <button type="button" className="nbp-close" aria-label={trans.__('close')} onClick={close}>
            ×
          </button>
          {below.kind === 'run' ? (
            <ProgressPanel
              backend={store.backend}
              run={below.run}
              baseline={state.baseline}
              rev={store.find(below.run)?.status === 'running' ? state.rev : 0}
              onDiff={(a, b) => setBelow({ kind: 'diff', a, b })}
            />
          ) : null}
          {below.kind === 'compare' ? (
            <CompareView store={store} state={state} onDiff={(a, b) => setBelow({ kind: 'diff', a, b })} />
          ) : null}
          {below.kind === 'diff' ? (
            <DiffView key={`${below.a} ${below.b}`} backend={store.backend} a={below.a} b={below.b} />
          ) : null}
        </div>
      )}
    </section>
  );
}

function Empty({ store, filtered: narrowed }: { store: HistoryStore; filtered: boolean }) {
  const trans = useWords();
  return narrowed ? (
    <p className="nbp-empty">
      {trans.__('No run is like this.')}{' '}
      <button
        type="button"
        className="nbp-link"
        onClick={() => store.ask({ text: '', where: [], statuses: [] })}
      >
        {trans.__('Show all runs')}
      </button>
    </p>
  ) : (
    <p className="nbp-empty">
      {trans.__('No runs yet. Start one:')} <code>%nbpipe run</code>
    </p>
  );
}

function filtered(query: { text?: string; where?: string[]; statuses?: string[] }): boolean {
  return Boolean(query.text) || (query.where ?? []).length > 0 || (query.statuses ?? []).length > 0;
}
