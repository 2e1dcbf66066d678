import { memo, useLayoutEffect, useMemo, useRef, useState, type MutableRefObject } from 'react';

import { layered, type Layout, type Route } from './layered';
import { NodeButton } from './NodeButton';
import { usePanZoom } from './panzoom';
import { isActive, type Active, type DrawnProps } from './PipelineGraph';
import { useRoving } from './roving';
import { StageMark } from './StageMark';
import { carried } from './words';
import { useWords } from '../words';

const SIZES = { width: 168, height: 50, across: 64, down: 16 };

/** Stages from left to right, to be zoomed and panned. */
export function LargeGraph(graph: DrawnProps) {
  const { order, links, stages, marks, selected, active, setActive } = graph;
  const view = useRef<HTMLDivElement>(null);
  const world = useRef<HTMLDivElement>(null);
  const layout = useMemo(() => layered({ order, links }, SIZES), [order, links]);
  const shown = useRef<(scale: number) => void>(() => undefined);
  const { zoom, fit, reveal } = usePanZoom(view, world, layout, shown);
  const { current, go, focused } = useRoving(world, order, selected);

  const key = (stage: string, name: string): boolean => {
    switch (name) {
      case 'ArrowRight':
        return go(
          nearest(
            layout,
            stage,
            links.filter((link) => link.source === stage).map((link) => link.target),
          ),
        );
      case 'ArrowLeft':
        return go(
          nearest(
            layout,
            stage,
            links.filter((link) => link.target === stage).map((link) => link.source),
          ),
        );
      case 'ArrowDown':
        return go(beside(layout, stage, 1));
      case 'ArrowUp':
        return go(beside(layout, stage, -1));
      case 'Home':
        return go(order[0]);
      case 'End':
        return go(order.at(-1));
      case '+':
      case '=':
        zoom(1.25);
        return true;
      case '-':
        zoom(0.8);
        return true;
      case '0':
        fit();
        return true;
      default:
        return false;
    }
  };
  return (
    <>
      <Zoom shown={shown} zoom={zoom} fit={fit} />
      <div className="nbp-view" ref={view}>
        <div className="nbp-world" ref={world} style={{ width: layout.width, height: layout.height }}>
          <Edges layout={layout} active={active} setActive={setActive} busy={busyIn(graph)} />
          {stages.map((stage) => {
            const place = layout.at.get(stage.name) ?? { x: 0, y: 0 };
            return (
              <NodeButton
                key={stage.name}
                graph={graph}
                stage={stage}
                className="nbp-node"
                style={{ left: place.x, top: place.y, width: SIZES.width, height: SIZES.height }}
                tabbed={stage.name === current}
                onFocus={() => {
                  focused(stage.name);
                  setActive({ stage: stage.name });
                  reveal({ ...place, width: SIZES.width, height: SIZES.height });
                }}
                onKey={(pressed) => key(stage.name, pressed)}
              >
                <span className="nbp-node-name">{stage.name}</span>
                <span className="nbp-node-line">
                  <StageMark mark={marks[stage.name]} />
                </span>
              </NodeButton>
            );
          })}
          <Labels layout={layout} active={active} />
        </div>
      </div>
    </>
  );
}

interface ZoomProps {
  shown: MutableRefObject<(scale: number) => void>;
  zoom: (factor: number) => void;
  fit: () => void;
}

/** The scale, and buttons for it. It alone is drawn anew while the graph is zoomed. */
function Zoom({ shown, zoom, fit }: ZoomProps) {
  const trans = useWords();
  const [percent, setPercent] = useState(100);
  useLayoutEffect(() => {
    shown.current = (scale) => setPercent(Math.round(scale * 100));
  }, [shown]);
  return (
    <div className="nbp-zoom" role="group" aria-label={trans.__('zoom')}>
      <button type="button" className="nbp-button" aria-label={trans.__('smaller')} onClick={() => zoom(0.8)}>
        −
      </button>
      <output aria-label={trans.__('scale')}>{percent} %</output>
      <button type="button" className="nbp-button" aria-label={trans.__('larger')} onClick={() => zoom(1.25)}>
        +
      </button>
      <button type="button" className="nbp-button" onClick={fit}>
        {trans.__('Fit')}
      </button>
    </div>
  );
}

interface EdgesProps {
  layout: Layout;
  active: Active;
  setActive: (active: Active) => void;
  /** Stages that run. */
  busy: string;
}

/** All edges; those that are looked at stand out. */
const Edges = memo(function Edges({ layout, active, setActive, busy }: EdgesProps) {
  const lit = layout.routes.filter((route) => isActive(route.link, active));
  const running = new Set(busy.split('\n'));
  const draw = (route: Route, on: boolean) => (
    <g
      key={`${route.link.source}\n${route.link.target}`}
      className={`nbp-edge nbp-edge-${route.link.kind}${on ? ' nbp-edge-active' : ''}${running.has(route.link.target) ? ' nbp-edge-busy' : ''}`}
      onMouseEnter={() => setActive({ link: route.link })}
      onMouseLeave={() => setActive(undefined)}
    >
      <path className="nbp-edge-hit" d={route.path} />
      <path className="nbp-edge-line" d={route.path} />
    </g>
  );
  return (
    <svg width={layout.width} height={layout.height} aria-hidden="true">
      {layout.routes.map((route) => draw(route, lit.includes(route)))}
    </svg>
  );
});

/** What the edges that are looked at carry. */
function Labels({ layout, active }: { layout: Layout; active: Active }) {
  const trans = useWords();
  return (
    <svg className="nbp-labels" width={layout.width} height={layout.height} aria-hidden="true">
      {layout.routes
        .filter((route) => isActive(route.link, active))
        .map((route) => (
          <text
            key={`${route.link.source}\n${route.link.target}`}
            className="nbp-edge-label"
            x={route.middle.x}
            y={route.middle.y - 5}
            textAnchor="middle"
          >
            {shortened(carried(route.link, trans))}
          </text>
        ))}
    </svg>
  );
}

function busyIn({ stages, marks }: DrawnProps): string {
  return stages
    .filter((stage) => marks[stage.name]?.state === 'running')
    .map((stage) => stage.name)
    .join('\n');
}

function shortened(text: string): string {
  return text.length > 24 ? `${text.slice(0, 23)}…` : text;
}

/** Of these stages, the one that stands nearest. */
function nearest(layout: Layout, stage: string, others: string[]): string | undefined {
  const place = (name: string) => layout.at.get(name) ?? { x: 0, y: 0 };
  const distance = (name: string) =>
    Math.hypot(place(name).x - place(stage).x, place(name).y - place(stage).y);
  return [...others].sort((a, b) => distance(a) - distance(b))[0];
}

/** The next stage above or below in the same rank. */
function beside(layout: Layout, stage: string, by: number): string | undefined {
  const rank = layout.ranks.find((names) => names.includes(stage)) ?? [];
  return rank[rank.indexOf(stage) + by];
}
