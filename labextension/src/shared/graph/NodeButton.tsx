import type { CSSProperties, ReactNode } from 'react';

import { menuPlace, type DrawnProps, type GraphStage } from './PipelineGraph';
import { useWords } from '../words';
import { spoken } from './words';

interface Props {
  graph: DrawnProps;
  stage: GraphStage;
  className: string;
  style?: CSSProperties;
  tabbed: boolean;
  onFocus: () => void;
  onKey: (key: string) => boolean;
  children: ReactNode;
}

/** A stage that can be focused, jumped to and asked for its menu. */
export function NodeButton({ graph, stage, className, style, tabbed, onFocus, onKey, children }: Props) {
  const mark = graph.marks[stage.name];
  const classes = [
    className,
    `nbp-node-${(mark?.state ?? 'unknown').replace(' ', '-')}`,
    stage.kind === 'check' ? 'nbp-node-check' : '',
    graph.selected === stage.name ? 'nbp-selected' : '',
  ];
  return (
    <button
      type="button"
      className={classes.filter(Boolean).join(' ')}
      style={style}
      data-stage={stage.name}
      aria-label={spoken(stage, mark, graph.links, useWords())}
      aria-current={graph.selected === stage.name ? 'true' : undefined}
      title={mark?.reason ? `${stage.name}: ${mark.reason}` : stage.name}
      tabIndex={tabbed ? 0 : -1}
      onClick={() => graph.onJump(stage.name)}
      onFocus={onFocus}
      onBlur={() => graph.setActive(undefined)}
      onMouseEnter={() => graph.setActive({ stage: stage.name })}
      onMouseLeave={() => graph.setActive(undefined)}
      onContextMenu={(event) => {
        if (graph.onMenu) {
          event.preventDefault();
          event.stopPropagation();
          graph.onMenu(stage.name, menuPlace(event));
        }
      }}
      onKeyDown={(event) => {
        if (!event.ctrlKey && !event.metaKey && !event.altKey && onKey(event.key)) {
          event.preventDefault();
          event.stopPropagation();
        }
      }}
    >
      {children}
    </button>
  );
}
