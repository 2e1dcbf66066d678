import { useMemo, useState } from 'react';

import type { PipelineEdge, StageKind } from '../api';
import { useTick } from '../useTick';
import { CompactGraph } from './CompactGraph';
import { LargeGraph } from './LargeGraph';
import { tidy, type Link } from './links';
import type { Marks } from './marks';
import { carried, relations } from './words';
import { useWords, type Words } from '../words';

export interface GraphStage {
  name: string;
  kind: StageKind;
}

export interface GraphProps {
  /** In notebook order; those of a `PipelineView` will do. */
  stages: GraphStage[];
  edges: PipelineEdge[];
  /** From `marksOf`; a stage without one shows its name only. */
  marks: Marks;
  /** The stage of the selected cell, or whatever stands out. */
  selected?: string | undefined;
  /** `compact`: a row per stage, for a sidebar; its height is that of its rows. `large`: zoom and pan; as high as what it lies in. */
  mode: 'compact' | 'large';
  /** A click, Enter or Space: go to the stage's cell. */
  onJump: (stage: string) => void;
  /**
   * Right click, Shift+F10 or the menu key, at this place of the window. Without it the event goes on to the host, which finds the
   * stage in `data-stage`.
   */
  onMenu?: ((stage: string, place: { x: number; y: number }) => void) | undefined;
}

/** What both modes draw. */
export interface DrawnProps extends GraphProps {
  order: string[];
  links: Link[];
  active: Active;
  setActive: (active: Active) => void;
}

/** What the pointer or the focus is on: a stage, or an edge. */
export type Active = { stage: string } | { link: Link } | undefined;

/** The stages and checks of a pipeline, what goes from one to the other, and how each of them stands. */
export function PipelineGraph(props: GraphProps) {
  const trans = useWords();
  const { stages, edges, marks, mode } = props;
  const graph = useMemo(
    () =>
      tidy(
        stages.map((stage) => stage.name),
        edges,
      ),
    [stages, edges],
  );
  const [active, setActive] = useState<Active>();
  useTick(Object.values(marks).some((mark) => mark.state === 'running'));
  const Mode = mode === 'large' ? LargeGraph : CompactGraph;
  return (
    <section
      className={`nbp-graph nbp-graph-${mode}`}
      aria-label={trans._n('pipeline of %1 stage', 'pipeline of %1 stages', stages.length)}
    >
      <Mode {...props} {...graph} active={active} setActive={setActive} />
      <p className="nbp-graph-caption" aria-hidden="true">
        {caption(active, graph.links, trans) ||
          (stages.length > 0 ? trans.__('Enter: to the cell. Arrows: along the edges.') : '')}
      </p>
    </section>
  );
}

function caption(active: Active, links: Link[], trans: Words): string {
  if (!active) {
    return '';
  }
  return 'link' in active
    ? `${active.link.source} → ${active.link.target}: ${carried(active.link, trans)}`
    : `${active.stage} ${relations(active.stage, links, trans) || trans.__('stands alone')}`;
}

/** Whether an edge belongs to what the pointer or the focus is on. */
export function isActive(link: Link, active: Active): boolean {
  return active === undefined
    ? false
    : 'link' in active
      ? active.link === link
      : active.stage === link.source || active.stage === link.target;
}

/** The place of a menu: at the pointer, or at the node where a key asked for it. */
export function menuPlace(event: { clientX: number; clientY: number; currentTarget: Element }) {
  if (event.clientX || event.clientY) {
    return { x: event.clientX, y: event.clientY };
  }
  const box = event.currentTarget.getBoundingClientRect();
  return { x: box.left + 12, y: box.bottom };
}
