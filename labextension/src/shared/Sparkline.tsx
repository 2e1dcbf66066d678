import type { Curve } from './types';

const WIDTH = 84;
const HEIGHT = 18;

/** The points of one curve as an SVG path in a box; both axes start and end with the data. */
export function path(curve: Curve, box: { width: number; height: number }, range?: Range): string {
  const shown = curve.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const { x0, x1, y0, y1 } = range ?? rangeOf([shown]);
  const across = (x: number) => (x1 > x0 ? ((x - x0) / (x1 - x0)) * box.width : box.width / 2);
  const up = (y: number) => (y1 > y0 ? box.height - ((y - y0) / (y1 - y0)) * box.height : box.height / 2);
  return shown.map(([x, y], n) => `${n ? 'L' : 'M'}${across(x).toFixed(1)} ${up(y).toFixed(1)}`).join('');
}

export interface Range {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}

export function rangeOf(curves: Curve[]): Range {
  const points = curves.flat().filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const range = { x0: Infinity, x1: -Infinity, y0: Infinity, y1: -Infinity };
  for (const [x, y] of points) {
    range.x0 = Math.min(range.x0, x);
    range.x1 = Math.max(range.x1, x);
    range.y0 = Math.min(range.y0, y);
    range.y1 = Math.max(range.y1, y);
  }
  return range;
}

export function Sparkline({ curve, colour, label }: { curve: Curve; colour: string; label: string }) {
  const box = { width: WIDTH - 4, height: HEIGHT - 4 };
  return (
    <svg
      className="nbp-spark"
      width={WIDTH}
      height={HEIGHT}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <path d={path(curve, box)} transform="translate(2 2)" stroke={colour} />
    </svg>
  );
}
