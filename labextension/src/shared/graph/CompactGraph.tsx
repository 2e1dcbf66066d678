import { useMemo, useRef } from 'react';

import { lanesOf, type Wire } from './lanes';
import { NodeButton } from './NodeButton';
import { isActive, type DrawnProps } from './PipelineGraph';
import { useRoving } from './roving';
import { StageMark } from './StageMark';

/** Height of a row, and the widest that all lanes together may be. */
const ROW = 28;
const WIDEST = 96;
/** Rows that the browser takes as one, to be left out while they are out of sight. */
const PART = 16;

/** A row per stage, with lanes for the edges: as narrow as a sidebar, at any number of stages. */
export function CompactGraph(graph: DrawnProps) {
  const { order, links, stages, marks, selected, active, setActive } = graph;
  const root = useRef<HTMLDivElement>(null);
  const lanes = useMemo(() => lanesOf({ order, links }), [order, links]);
  const { current, go, focused } = useRoving(root, order, selected);
  const step = Math.min(14, WIDEST / Math.max(lanes.lanes, 1));
  const x = (lane: number) => 12 + lane * step;
  const left = x(lanes.lanes - 1) + 12;
  const byName = useMemo(() => new Map(stages.map((stage) => [stage.name, stage])), [stages]);

  const key = (stage: string, row: number, name: string): boolean => {
    const sources = links.filter((link) => link.target === stage).map((link) => order.indexOf(link.source));
    const targets = links.filter((link) => link.source === stage).map((link) => order.indexOf(link.target));
    switch (name) {
      case 'ArrowDown':
        return go(order[row + 1]);
      case 'ArrowUp':
        return go(order[row - 1]);
      case 'ArrowLeft':
        return go(order[Math.max(...sources)]);
      case 'ArrowRight':
        return go(order[Math.min(...targets)]);
      case 'Home':
        return go(order[0]);
      case 'End':
        return go(order.at(-1));
      default:
        return false;
    }
  };
  return (
    <div className="nbp-rows" ref={root} style={{ height: order.length * ROW }}>
      <svg width={left} height={order.length * ROW} aria-hidden="true">
        {[...lanes.wires]
          .sort((a, b) => weight(a) - weight(b))
          .map((wire) => (
            <g
              key={`${wire.from.row} ${wire.to.row}`}
              className={`nbp-edge nbp-edge-${wire.link.kind}${isActive(wire.link, active) ? ' nbp-edge-active' : ''}`}
              onMouseEnter={() => setActive({ link: wire.link })}
              onMouseLeave={() => setActive(undefined)}
            >
              <path className="nbp-edge-hit" d={wirePath(wire, x)} />
              <path d={wirePath(wire, x)} />
            </g>
          ))}
        {order.map((name, row) => (
          <Dot
            key={name}
            x={x(lanes.lane[row] ?? 0)}
            y={(row + 0.5) * ROW}
            check={byName.get(name)?.kind === 'check'}
            state={marks[name]?.state ?? 'unknown'}
          />
        ))}
      </svg>
      {Array.from({ length: Math.ceil(order.length / PART) }, (_, part) => {
        const names = order.slice(part * PART, (part + 1) * PART);
        return (
          <div
            key={names[0]}
            className="nbp-rows-part"
            style={{ top: part * PART * ROW, height: names.length * ROW }}
          >
            {names.map((name, n) => node(name, part * PART + n))}
          </div>
        );
      })}
    </div>
  );

  function node(name: string, row: number) {
    const stage = byName.get(name);
    return stage ? (
      <NodeButton
        key={name}
        graph={graph}
        stage={stage}
        className="nbp-row"
        style={{ top: (row % PART) * ROW, height: ROW, paddingLeft: left }}
        tabbed={name === current}
        onFocus={() => {
          focused(name);
          setActive({ stage: name });
        }}
        onKey={(pressed) => key(name, row, pressed)}
      >
        <span className="nbp-node-name">{name}</span>
        <StageMark mark={marks[name]} />
      </NodeButton>
    ) : null;
  }

  function weight(wire: Wire): number {
    return isActive(wire.link, active) ? 1 : 0;
  }
}

/** A stage is round, a check a diamond. */
function Dot({ x, y, check, state }: { x: number; y: number; check: boolean; state: string }) {
  const className = `nbp-node-dot nbp-node-${state.replace(' ', '-')}`;
  return check ? (
    <path className={className} d={`M${x} ${y - 6}l6 6l-6 6l-6 -6z`} />
  ) : (
    <circle className={className} cx={x} cy={y} r={4.5} />
  );
}

/** Down the lane of what gives, and over to what needs it just above its row. */
function wirePath({ from, to }: Wire, x: (lane: number) => number): string {
  const [x0, y0, x1, y1] = [x(from.lane), (from.row + 0.5) * ROW, x(to.lane), (to.row + 0.5) * ROW];
  return x0 === x1
    ? `M${x0} ${y0}V${y1}`
    : `M${x0} ${y0}V${y1 - ROW}C${x0} ${y1 - ROW / 3} ${x1} ${y1 - (2 * ROW) / 3} ${x1} ${y1}`;
}
