import { useState } from 'react';

import type { DetailStage } from '../api';
import { Chart } from '../Chart';
import { runColour } from '../colour';
import { delta, metric } from '../format';
import { Sparkline } from '../Sparkline';
import type { Curve } from '../types';
import { useWords } from '../words';

interface Props {
  run: string;
  stages: DetailStage[];
  baseline?: { run: string; metrics: Record<string, number> } | undefined;
  /** Metric -> run -> points; the baseline's too, where it has some. */
  curves: Record<string, Record<string, Curve>>;
}

/** Metrics by stage, with the distance to the baseline; one with a curve opens a chart. */
export function MetricsTab({ run, stages, baseline, curves }: Props) {
  const trans = useWords();
  const [open, setOpen] = useState('');
  const rows = stages.flatMap((stage) =>
    Object.entries(stage.metrics).map(([name, value]) => ({ stage: stage.name, name, value })),
  );
  if (rows.length === 0) {
    return (
      <p className="nbp-hint">
        {trans.__('No metric was recorded. %1 records one.', 'nbpipe.log_metric("acc", value)')}
      </p>
    );
  }
  const shown = Object.entries(curves[open] ?? {}).filter(([, points]) => points.length > 1);
  return (
    <>
      <table className="nbp-values" aria-label={trans.__('metrics')}>
        <thead>
          <tr>
            <th scope="col">{trans.__('metric')}</th>
            <th scope="col" className="nbp-number">
              {trans.__('value')}
            </th>
            <th
              scope="col"
              aria-label={baseline ? trans.__('difference to %1', baseline.run) : trans.__('difference')}
            >
              {baseline ? `Δ ${baseline.run}` : ''}
            </th>
            <th scope="col">
              <span className="nbp-hidden">{trans.__('curve')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ stage, name, value }) => {
            const before = baseline?.metrics[name];
            const curve = curves[name]?.[run] ?? [];
            return (
              <tr key={`${stage}\n${name}`}>
                <th scope="row">
                  {name} <span className="nbp-dim">{stage}</span>
                </th>
                <td className="nbp-number" title={String(value)}>
                  {metric(value)}
                </td>
                <td>
                  {before === undefined ? null : (
                    <span className="nbp-delta" title={`${baseline?.run ?? ''}: ${before}`}>
                      {delta(value, before) || '='}
                    </span>
                  )}
                </td>
                <td className="nbp-curve">
                  {curve.length > 1 ? (
                    <button
                      type="button"
                      className="nbp-link"
                      aria-expanded={open === name}
                      aria-label={trans.__('chart of %1', name)}
                      onClick={() => setOpen(open === name ? '' : name)}
                    >
                      <Sparkline
                        curve={curve}
                        colour={runColour(run)}
                        label={trans.__('%1 points', curve.length)}
                      />
                    </button>
                  ) : null}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {shown.length > 0 ? (
        <div className="nbp-charts">
          <Chart title={open} curves={shown.map(([of, points]) => ({ run: of, points }))} />
        </div>
      ) : null}
    </>
  );
}
