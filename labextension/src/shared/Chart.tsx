import { runColour } from './colour';
import { metric, short } from './format';
import { path, rangeOf } from './Sparkline';
import type { Curve } from './types';
import { useWords } from './words';

const BOX = { width: 280, height: 110 };
const LEFT = 46;

/** Curves of one metric over each other, each in the colour of its run. */
export function Chart({
  title,
  curves,
}: {
  title: string;
  curves: { run: string; points: Curve; colour?: string }[];
}) {
  const trans = useWords();
  const range = rangeOf(curves.map((curve) => curve.points));
  if (!Number.isFinite(range.x0)) {
    return null;
  }
  return (
    <figure className="nbp-chart">
      <figcaption>
        {title}{' '}
        {curves.map((curve) => (
          <span key={curve.run} className="nbp-key">
            <span
              className="nbp-dot"
              style={{ background: curve.colour ?? runColour(curve.run) }}
              aria-hidden="true"
            />
            {curve.run}
          </span>
        ))}
      </figcaption>
      <svg
        viewBox={`0 0 ${BOX.width + LEFT + 8} ${BOX.height + 26}`}
        role="img"
        aria-label={trans.__(
          '%1 of %2: %3 to %4',
          title,
          curves.map((curve) => curve.run).join(', '),
          metric(range.y0),
          metric(range.y1),
        )}
      >
        <g transform={`translate(${LEFT} 6)`}>
          <path className="nbp-axis" d={`M0 0V${BOX.height}H${BOX.width}`} />
          <text x={-5} y={8} textAnchor="end">
            {short(range.y1)}
          </text>
          <text x={-5} y={BOX.height} textAnchor="end">
            {short(range.y0)}
          </text>
          <text x={0} y={BOX.height + 15}>
            {metric(range.x0)}
          </text>
          <text x={BOX.width} y={BOX.height + 15} textAnchor="end">
            {metric(range.x1)}
          </text>
          {curves.map((curve) => (
            <path
              key={curve.run}
              className="nbp-line"
              d={path(curve.points, BOX, range)}
              stroke={curve.colour ?? runColour(curve.run)}
            />
          ))}
        </g>
      </svg>
    </figure>
  );
}
