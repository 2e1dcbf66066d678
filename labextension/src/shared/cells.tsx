import { memo } from 'react';

import { runColour } from './colour';
import type { Column } from './columns';
import { ago, delta, duration, metric, scalar } from './format';
import { Sparkline } from './Sparkline';
import { Status } from './Status';
import type { HistoryStore } from './store';
import type { RunRow } from './types';
import { cut } from './widths';
import { useWords } from './words';

interface RunCellProps {
  row: RunRow;
  base: boolean;
  pinned: boolean;
  /** The pointer or the focus is on the row. */
  near: boolean;
  store: HistoryStore;
  onOpen: (run: string) => void;
  stop?: ((run: string) => void) | undefined;
}

/** The run's name with its colour, its marks and what can be done with it; and its status. */
export const RunCell = memo(function RunCell({ row, base, pinned, near, store, onOpen, stop }: RunCellProps) {
  const trans = useWords();
  const note =
    row.status === 'running' && row.stages
      ? `${row.done ?? 0}/${row.stages}`
      : (row.broken ?? []).length > 0
        ? (row.broken ?? []).join(', ')
        : '';
  return (
    <>
      <td role="gridcell" className="nbp-run">
        <span className="nbp-dot" style={{ background: runColour(row.run) }} aria-hidden="true" />
        <button type="button" className="nbp-link" tabIndex={-1} onClick={() => onOpen(row.run)}>
          {row.run}
        </button>
        {row.stage ? <span className="nbp-dim"> {cut(row.stage)}</span> : null}
        {near || base || pinned ? (
          <span className="nbp-marks">
            {near || base ? (
              <button
                type="button"
                className="nbp-mark"
                tabIndex={-1}
                aria-pressed={base}
                aria-label={trans.__('baseline %1', row.run)}
                title={trans.__('baseline: the others are compared with it (B)')}
                onClick={() => store.setBaseline(row.run)}
              >
                {base ? '★' : '☆'}
              </button>
            ) : null}
            {near || pinned ? (
              <button
                type="button"
                className="nbp-mark"
                tabIndex={-1}
                aria-pressed={pinned}
                aria-label={trans.__('pin %1', row.run)}
                title={trans.__('pin: stays on top (P)')}
                onClick={() => store.pin(row.run)}
              >
                <PinIcon />
              </button>
            ) : null}
          </span>
        ) : null}
      </td>
      <td role="gridcell" title={row.failure || note || undefined}>
        <Status status={row.status} note={cut(note)} />
        {row.status === 'running' && row.stages ? (
          <Bar done={row.done ?? 0} of={row.stages} label={row.run} />
        ) : null}
        {row.status === 'running' && stop ? (
          <button
            type="button"
            className="nbp-stop"
            tabIndex={-1}
            aria-label={trans.__('stop %1', row.run)}
            title={trans.__('stop this run')}
            onClick={() => stop(row.run)}
          >
            ■
          </button>
        ) : null}
      </td>
    </>
  );
});

function PinIcon() {
  return (
    <svg width="11" height="11" viewBox="0 0 16 16" aria-hidden="true" fill="currentColor">
      <path d="M10 1 15 6l-1.2 1.2-.9-.2-2.7 2.7.1 2.6L9 13.6 5.9 10.5 2 14.4 1.6 14 5.5 10.1 2.4 7 3.7 5.7l2.6.1L9 3.1l-.2-.9Z" />
    </svg>
  );
}

export function Bar({ done, of, label }: { done: number; of: number; label: string }) {
  const trans = useWords();
  return (
    <progress
      className="nbp-bar"
      value={done}
      max={Math.max(of, 1)}
      aria-label={trans.__('stages of %1 that are over', label)}
    />
  );
}

interface CellProps {
  column: Column;
  row: RunRow;
  baseline: RunRow | undefined;
  store: HistoryStore;
  /** Another one where the store has something new, such as a curve. */
  rev: number;
}

/** One value of a row; it stays as it is while the table scrolls. */
export const Cell = memo(function Cell({ column, row, baseline, store }: CellProps) {
  const trans = useWords();
  const [space, name] = split(column.id);
  if (space === 'params') {
    return <ParamCell name={name} row={row} baseline={baseline} />;
  }
  if (space === 'metrics') {
    return <MetricCell name={name} row={row} baseline={baseline} />;
  }
  if (space === 'curve') {
    const curve = store.curve(row.run, name);
    return (
      <td role="gridcell" className="nbp-curve">
        {curve && curve.length > 1 ? (
          <Sparkline
            curve={curve}
            colour={runColour(row.run)}
            label={trans.__('%1 of %2, %3 points', name, row.run, curve.length)}
          />
        ) : null}
      </td>
    );
  }
  if (space === 'tags') {
    const text = row.tags?.[name];
    return (
      <td role="gridcell">{text === undefined ? null : <span className="nbp-tag">{cut(text)}</span>}</td>
    );
  }
  return <PlainCell id={column.id} row={row} />;
});

function PlainCell({ id, row }: { id: string; row: RunRow }) {
  const trans = useWords();
  const now = Date.now() / 1000;
  if (id === 'started') {
    const at = row.started ?? 0;
    return (
      <td role="gridcell" className="nbp-dim" title={at ? new Date(at * 1000).toLocaleString() : undefined}>
        {at ? ago(at, now, trans) : ''}
      </td>
    );
  }
  if (id === 'seconds') {
    const running = row.status === 'running' && row.started ? Math.max(now - row.started, 0) : null;
    const seconds = row.seconds ?? running;
    return (
      <td role="gridcell" className="nbp-number">
        {seconds === null ? '' : duration(seconds)}
      </td>
    );
  }
  const text = { name: row.name, version: row.version, user: row.user, commit: row.commit }[id] ?? '';
  return (
    <td role="gridcell" title={text}>
      {cut(text)}
    </td>
  );
}

function ParamCell({ name, row, baseline }: { name: string; row: RunRow; baseline: RunRow | undefined }) {
  const value = row.params?.[name];
  const before = baseline?.params?.[name];
  const other = baseline !== undefined && baseline.run !== row.run && value !== before;
  const strong = baseline ? other : (row.given ?? []).includes(name);
  const text = scalar(value);
  return (
    <td
      role="gridcell"
      className={strong ? 'nbp-differs' : undefined}
      title={other ? `${scalar(before) || '–'} → ${text || '–'}` : text}
    >
      {cut(text)}
    </td>
  );
}

function MetricCell({ name, row, baseline }: { name: string; row: RunRow; baseline: RunRow | undefined }) {
  const value = row.metrics?.[name];
  const before = baseline?.run === row.run ? undefined : baseline?.metrics?.[name];
  if (value === undefined) {
    return <td role="gridcell" className="nbp-number" />;
  }
  return (
    <td role="gridcell" className="nbp-number" title={String(value)}>
      {metric(value)}
      {before === undefined ? null : <span className="nbp-delta">{delta(value, before)}</span>}
    </td>
  );
}

function split(id: string): [string, string] {
  const dot = id.indexOf('.');
  return dot < 0 ? [id, ''] : [id.slice(0, dot), id.slice(dot + 1)];
}
