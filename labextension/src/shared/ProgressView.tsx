import { useEffect, useState } from 'react';

import { problemText, type Backend } from './backend';
import { Coded } from './Coded';
import { runColour } from './colour';
import { duration, metric, scalar } from './format';
import { Status, statusWord } from './Status';
import type { Progress, StageRow } from './types';
import { useWords } from './words';

/** A run, stage by stage: while it runs and afterwards. */
export function ProgressView({ view, skew = 0 }: { view: Progress; skew?: number }) {
  const trans = useWords();
  const { row, stages, warnings } = view;
  const now = Date.now() / 1000 + skew;
  const took = row.seconds ?? (row.started ? Math.max(now - row.started, 0) : 0);
  const metrics = Object.entries(row.metrics ?? {});
  return (
    <section className="nbp-progress" aria-label={trans.__('run %1', row.run)}>
      <header className="nbp-toolbar">
        <span className="nbp-dot" style={{ background: runColour(row.run) }} aria-hidden="true" />
        <h3 className="nbp-title">
          {row.run} <span className="nbp-dim">{[row.name, row.version].filter(Boolean).join(' ')}</span>
        </h3>
        <Status
          status={row.status}
          note={row.status === 'running' ? `${row.done ?? 0}/${row.stages ?? 0}` : ''}
        />
        <span className="nbp-dim">{duration(took)}</span>
        {metrics.slice(0, 6).map(([name, value]) => (
          <span key={name} className="nbp-figure">
            <span className="nbp-dim">{name}</span> {metric(value)}
          </span>
        ))}
      </header>
      <p className="nbp-hidden" aria-live="polite">
        {row.status === 'running' ? '' : `${row.run} ${statusWord(row.status, trans)}`}
      </p>
      {row.failure ? (
        <p className="nbp-problem" role="alert">
          {row.failure}
        </p>
      ) : null}
      <table className="nbp-stages" aria-label={trans.__('stages of %1', row.run)}>
        <thead className="nbp-hidden">
          <tr>
            <th scope="col">{trans.__('stage')}</th>
            <th scope="col">{trans.__('status')}</th>
            <th scope="col">{trans.__('time')}</th>
            <th scope="col">{trans.__('why, and what it gave')}</th>
          </tr>
        </thead>
        <tbody>
          {stages.map((stage) => (
            <Stage key={stage.name} stage={stage} now={now} />
          ))}
        </tbody>
      </table>
      {warnings.map((text) => (
        <p key={text} className="nbp-hint">
          {trans.__('warning: %1', text)}
        </p>
      ))}
    </section>
  );
}

function Stage({ stage, now }: { stage: StageRow; now: number }) {
  const trans = useWords();
  const running = stage.status === 'running';
  const took = running && stage.started ? Math.max(now - stage.started, 0) : (stage.seconds ?? 0);
  const expected = stage.expected ?? 0;
  const figures = Object.entries(stage.metrics ?? {}).slice(0, 4);
  return (
    <tr data-stage={stage.name}>
      <th scope="row">{stage.name}</th>
      <td>
        <Status status={stage.status} />
      </td>
      <td className="nbp-number">
        {running || took > 0 ? duration(took) : ''}
        {running && expected > 0 ? (
          <>
            <progress
              className="nbp-bar"
              value={Math.min(took / expected, 1)}
              aria-label={trans.__('time of %1 against what it took before', stage.name)}
            />
            <span className="nbp-dim">
              {took < expected ? trans.__('~%1 left', duration(expected - took)) : ''}
            </span>
          </>
        ) : null}
      </td>
      <td className="nbp-why">
        {stage.failure ? (
          <span className="nbp-bad">{stage.failure}</span>
        ) : (
          <span className="nbp-dim">
            <Coded text={stage.reason} />
          </span>
        )}
        {figures.map(([name, value]) => (
          <span key={name} className="nbp-figure">
            <span className="nbp-dim">{name}</span> {metric(value)}
          </span>
        ))}
      </td>
    </tr>
  );
}

interface PanelProps {
  backend: Backend;
  run: string;
  baseline: string;
  /** Another number: the run may have moved on. */
  rev: number;
  onDiff: (a: string, b: string) => void;
}

/** The details of one run, asked for. */
export function ProgressPanel({ backend, run, baseline, rev, onDiff }: PanelProps) {
  const trans = useWords();
  const [view, setView] = useState<Progress>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    let wanted = true;
    setProblem('');
    backend.progress(run).then(
      (found) => wanted && setView(found),
      (error: unknown) => wanted && setProblem(problemText(error)),
    );
    return () => {
      wanted = false;
    };
  }, [backend, run, rev]);
  if (problem) {
    return <p className="nbp-problem">{problem}</p>;
  }
  if (view?.row.run !== run) {
    return <p className="nbp-hint">{trans.__('reading %1 …', run)}</p>;
  }
  const params = Object.entries(view.row.params ?? {});
  return (
    <>
      <ProgressView view={view} skew={view.now - Date.now() / 1000} />
      {params.length > 0 ? (
        <dl className="nbp-pairs" aria-label={trans.__('parameters')}>
          {params.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd className={(view.row.given ?? []).includes(name) ? 'nbp-differs' : undefined}>
                {scalar(value)}
              </dd>
            </div>
          ))}
        </dl>
      ) : null}
      {baseline && baseline !== run ? (
        <button type="button" className="nbp-button" onClick={() => onDiff(baseline, run)}>
          {trans.__('Diff against %1', baseline)}
        </button>
      ) : null}
    </>
  );
}
