import { Chart } from '../Chart';
import { delta, metric } from '../format';
import type { Curve, MetricDiff } from '../types';
import { Change, Nothing } from './Change';
import { useWords } from '../words';

export function MetricsPart({ items, a, b }: { items: MetricDiff[]; a: string; b: string }) {
  const trans = useWords();
  if (items.length === 0) {
    return <Nothing what={trans.__('The metrics are equal.')} />;
  }
  const curves = items.filter((item) => (item.curve?.a ?? item.curve?.b ?? []).length > 1);
  return (
    <>
      <table aria-label={trans.__('metrics')}>
        <thead>
          <tr>
            <th scope="col">{trans.__('metric')}</th>
            <th scope="col">{trans.__('stage')}</th>
            <th scope="col">{trans.__('change')}</th>
            <th scope="col" className="nbp-number">
              {trans.__('before')}
            </th>
            <th scope="col" className="nbp-number">
              {trans.__('after')}
            </th>
            <th scope="col" className="nbp-number">
              {trans.__('by')}
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={`${item.stage} ${item.name}`}>
              <th scope="row">{item.name}</th>
              <td className="nbp-dim">{item.stage ?? ''}</td>
              <td>
                <Change change={item.change} />
              </td>
              <td className="nbp-number">{number(item.a)}</td>
              <td className="nbp-number">{number(item.b)}</td>
              <td className="nbp-number">
                {typeof item.a === 'number' && typeof item.b === 'number' ? delta(item.b, item.a) : ''}
                {item.relative ? <span className="nbp-dim"> {percent(item.relative)}</span> : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <div className="nbp-charts">
        {curves.map((item) => (
          <Chart
            key={`${item.stage} ${item.name}`}
            title={item.name}
            curves={[side(a, item.curve?.a), side(b, item.curve?.b)].flat()}
          />
        ))}
      </div>
    </>
  );
}

function side(run: string, points: Curve | undefined): { run: string; points: Curve }[] {
  return points && points.length > 1 ? [{ run, points }] : [];
}

function number(value: number | null | undefined): string {
  return value === null || value === undefined ? '' : metric(value);
}

function percent(share: number): string {
  return `${share > 0 ? '+' : '−'}${Math.abs(share * 100).toFixed(1)} %`;
}
