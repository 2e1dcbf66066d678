import { useEffect, useState } from 'react';

import { Chart } from './Chart';
import { runColour } from './colour';
import { delta, duration, metric, scalar } from './format';
import { Status } from './Status';
import type { HistoryState, HistoryStore } from './store';
import type { RunRow } from './types';
import { useWords } from './words';

interface Props {
  store: HistoryStore;
  state: HistoryState;
  onDiff: (a: string, b: string) => void;
}

interface Line {
  key: string;
  group: string;
  texts: string[];
  values: (number | undefined)[];
}

/** Runs side by side: a line per parameter and metric, a column per run, the baseline first. */
export function CompareView({ store, state, onDiff }: Props) {
  const trans = useWords();
  const [only, setOnly] = useState(true);
  const [search, setSearch] = useState('');
  const order = [...state.selected].sort(
    (a, b) => Number(b === state.baseline) - Number(a === state.baseline),
  );
  const rows = order.map((run) => store.find(run)).filter((row) => row !== undefined);
  const names = state.names.metrics.filter((name) => rows.some((row) => row.metrics?.[name] !== undefined));
  const runs = rows.map((row) => row.run).join(' ');
  const metrics = names.join('\n');
  useEffect(() => {
    for (const name of metrics ? metrics.split('\n').slice(0, 8) : []) {
      void store.lookAtCurves(runs.split(' ').filter(Boolean), name);
    }
  }, [store, runs, metrics, state.rev]);
  const [base] = rows;
  if (!base || rows.length < 2) {
    return <p className="nbp-hint">{trans.__('Check two runs or more to compare them.')}</p>;
  }
  const all = lines(rows);
  const wanted = search.trim().toLowerCase();
  const shown = all
    .filter((line) => !only || new Set(line.texts).size > 1)
    .filter((line) => !wanted || `${line.key} ${line.texts.join(' ')}`.toLowerCase().includes(wanted));
  const curves = names
    .map((name) => ({
      name,
      curves: rows.flatMap((row) => {
        const points = store.curve(row.run, name);
        return points && points.length > 1 ? [{ run: row.run, points }] : [];
      }),
    }))
    .filter((item) => item.curves.length > 0);
  const [second] = rows.slice(1);
  return (
    <section className="nbp-compare" aria-label={trans.__('compared runs')}>
      <header className="nbp-toolbar">
        <h3 className="nbp-title">
          {trans.__('Compare')} <span className="nbp-dim">{trans._n('%1 run', '%1 runs', rows.length)}</span>
        </h3>
        <input
          type="search"
          className="nbp-input"
          placeholder={trans.__('Search names and values')}
          aria-label={trans.__('search names and values')}
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        <label className="nbp-option">
          <input type="checkbox" checked={only} onChange={() => setOnly(!only)} />
          {trans.__('differences only')}
        </label>
        <span className="nbp-grow" />
        {rows.length === 2 && second ? (
          <button
            type="button"
            className="nbp-button nbp-primary"
            onClick={() => onDiff(base.run, second.run)}
          >
            {trans.__('Diff %1 ↔ %2', base.run, second.run)}
          </button>
        ) : null}
      </header>
      <div className="nbp-scroll nbp-wide">
        <table aria-label={trans.__('parameters and metrics of the compared runs')}>
          <thead>
            <tr>
              <th scope="col">{trans.__('name')}</th>
              {rows.map((row, n) => (
                <th scope="col" key={row.run}>
                  <span className="nbp-dot" style={{ background: runColour(row.run) }} aria-hidden="true" />
                  {row.run}{' '}
                  {row.run === state.baseline ? (
                    <span className="nbp-dim">{trans.__('baseline')}</span>
                  ) : null}
                  {n > 0 && rows.length > 2 ? (
                    <button type="button" className="nbp-link" onClick={() => onDiff(base.run, row.run)}>
                      {trans.__('diff')}
                    </button>
                  ) : null}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">{trans.__('status')}</th>
              {rows.map((row) => (
                <td key={row.run}>
                  <Status status={row.status} note={row.seconds ? duration(row.seconds) : ''} />
                </td>
              ))}
            </tr>
            {shown.map((line) => (
              <CompareLine key={`${line.group} ${line.key}`} line={line} rows={rows} />
            ))}
          </tbody>
        </table>
        {shown.length === 0 ? (
          <p className="nbp-hint">
            {wanted
              ? trans.__('Nothing is called like this.')
              : trans.__('Their parameters and metrics are equal.')}
          </p>
        ) : null}
      </div>
      <div className="nbp-charts">
        {curves.map((item) => (
          <Chart key={item.name} title={item.name} curves={item.curves} />
        ))}
      </div>
    </section>
  );
}

function CompareLine({ line, rows }: { line: Line; rows: RunRow[] }) {
  const [first] = line.values;
  return (
    <tr>
      <th scope="row">
        {line.key} <span className="nbp-dim">{line.group}</span>
      </th>
      {rows.map((row, n) => {
        const value = line.values[n];
        const moved = line.group === 'metric' && n > 0 && value !== undefined && first !== undefined;
        const differs = n > 0 && line.texts[n] !== line.texts[0];
        return (
          <td key={row.run} className={differs ? 'nbp-differs' : undefined} title={line.texts[n]}>
            {line.texts[n]}
            {moved ? <span className="nbp-delta">{delta(value, first)}</span> : null}
          </td>
        );
      })}
    </tr>
  );
}

function lines(rows: RunRow[]): Line[] {
  const params = [...new Set(rows.flatMap((row) => Object.keys(row.params ?? {})))];
  const metrics = [...new Set(rows.flatMap((row) => Object.keys(row.metrics ?? {})))];
  const about = (key: string, text: (row: RunRow) => string): Line => ({
    key,
    group: '',
    texts: rows.map(text),
    values: [],
  });
  return [
    about('notebook', (row) => row.name ?? ''),
    about('version', (row) => row.version ?? ''),
    about('commit', (row) => row.commit ?? ''),
    about('who', (row) => row.user ?? ''),
    ...params.map((key) => ({
      key,
      group: 'param',
      texts: rows.map((row) => scalar(row.params?.[key])),
      values: [],
    })),
    ...metrics.map((key) => ({
      key,
      group: 'metric',
      texts: rows.map((row) => {
        const value = row.metrics?.[key];
        return value === undefined ? '' : metric(value);
      }),
      values: rows.map((row) => row.metrics?.[key]),
    })),
  ].filter((line) => line.texts.some(Boolean));
}
