import type { KernelStage, PipelineStage, PlanStage } from '../../shared/api';
import { duration } from '../../shared/format';
import type { StageRow } from '../../shared/types';
import type { Tag } from './tags';

/** What a badge says of a cell. It is computed from what is known, and never written into the document. */
export type BadgeState =
  | 'none'
  | 'waiting'
  | 'running'
  | 'succeeded'
  | 'cached'
  | 'edited'
  | 'stale'
  | 'failed'
  | 'rejected'
  | 'stopped'
  | 'wrong';

export interface Badge {
  role: Tag['role'];
  name: string;
  state: BadgeState;
  seconds: number | null;
  /** Why it is so, one sentence each. */
  reasons: string[];
  /** Which of the stage's cells this is, and of how many. */
  part: [number, number];
  /** Number of the stage in notebook order, for its colour; -1 where the cell is in no stage. */
  order: number;
  live: KernelStage | null;
  row: StageRow | null;
  stage: PipelineStage | null;
}

export interface CellState {
  id: string;
  tag: Tag | null;
  /** It has cell tags that are not read here: Kale's, perhaps. */
  labelled: boolean;
  /** Its code was changed after the last answer about it. */
  edited: boolean;
}

/** What is known of the stages, by name. */
export interface Known {
  /** From the kernel: the variables that are there now. */
  live: ReadonlyMap<string, KernelStage>;
  /** From the newest run. */
  rows: ReadonlyMap<string, StageRow>;
  /** What a run would do now. */
  plan: ReadonlyMap<string, PlanStage>;
  stages: ReadonlyMap<string, PipelineStage>;
}

export const SYMBOLS: Record<BadgeState, string> = {
  none: '',
  waiting: '○',
  running: '●',
  succeeded: '✓',
  cached: '⚡',
  edited: '✎',
  stale: '⟳',
  failed: '✗',
  rejected: '⊘',
  stopped: '■',
  wrong: '!',
};

/** Cells to badges, in notebook order; cells in no pipeline have none. */
export function badges(cells: readonly CellState[], known: Known): Map<string, Badge> {
  // What the server says may be older than the notebook: it counts only where tags are not read here.
  const kale = cells.some((cell) => cell.labelled && !cell.tag);
  const owners = new Map(
    kale ? [...known.stages.values()].flatMap((stage) => stage.ids.map((id) => [id, stage] as const)) : [],
  );
  const found: [CellState, Tag][] = [];
  for (const cell of cells) {
    const tag = cell.tag ?? kaleTag(owners.get(cell.id));
    if (tag) {
      found.push([cell, tag]);
    }
  }
  const parts = new Map<string, CellState[]>();
  for (const [cell, tag] of found) {
    if (isStage(tag)) {
      parts.set(tag.name, [...(parts.get(tag.name) ?? []), cell]);
    }
  }
  const order = [...parts.keys()];
  return new Map(
    found.map(([cell, tag]) => {
      const siblings = isStage(tag) ? (parts.get(tag.name) ?? []) : [cell];
      const edited = siblings.some((item) => item.edited);
      const part: [number, number] = [siblings.indexOf(cell) + 1, siblings.length];
      const said = isStage(tag) ? judge(tag, edited, known) : plain(tag);
      const row = known.rows.get(tag.name) ?? null;
      const live = known.live.get(tag.name) ?? null;
      const stage = isStage(tag) ? (known.stages.get(tag.name) ?? null) : null;
      return [
        cell.id,
        {
          role: tag.role,
          name: tag.name,
          part,
          order: order.indexOf(isStage(tag) ? tag.name : ''),
          live,
          row,
          stage,
          ...said,
        },
      ];
    }),
  );
}

type Said = Pick<Badge, 'state' | 'seconds' | 'reasons'>;

export function isStage(tag: Pick<Tag, 'role'>): boolean {
  return tag.role === 'stage' || tag.role === 'check';
}

/** Kale's tags are read by the server alone: the cell belongs to the stage that has it. */
function kaleTag(stage: PipelineStage | undefined): Tag | null {
  return stage ? { role: stage.kind, name: stage.name, options: '', from: 'tags', error: '' } : null;
}

function plain(tag: Tag): Said {
  return tag.error
    ? { state: 'wrong', seconds: null, reasons: [tag.error] }
    : { state: 'none', seconds: null, reasons: [] };
}

/** What ran last counts, here or in a run; that the variables here are stale counts more than that a run went well. */
function judge(tag: Tag, edited: boolean, known: Known): Said {
  const live = known.live.get(tag.name);
  const row = known.rows.get(tag.name);
  const plan = known.plan.get(tag.name);
  const ran = live !== undefined && live.started !== null;
  if (tag.error) {
    return plain(tag);
  }
  if (live?.state === 'running' || row?.status === 'running') {
    return { state: 'running', seconds: null, reasons: [] };
  }
  const inRun =
    row &&
    row.status !== 'waiting' &&
    row.status !== 'skipped' &&
    (!ran || (row.started ?? 0) > (live.started ?? 0));
  const last = inRun ? ofRun(row) : ran ? ofKernel(live) : row ? ofRun(row) : null;
  if (last && last.state !== 'succeeded' && last.state !== 'cached') {
    return last;
  }
  if (live?.state === 'stale') {
    return { state: 'stale', seconds: null, reasons: live.reasons.map((reason) => reason.text) };
  }
  if (!last) {
    return { state: 'none', seconds: null, reasons: [] };
  }
  if (edited) {
    return {
      state: 'edited',
      seconds: null,
      reasons: ['edited since it ran; save to see what that makes stale'],
    };
  }
  if (!ran && plan?.action === 'run') {
    return { state: 'stale', seconds: null, reasons: [plan.reason] };
  }
  return last;
}

const OF_RUN: Record<string, BadgeState> = {
  waiting: 'waiting',
  cached: 'cached',
  succeeded: 'succeeded',
  failed: 'failed',
  timeout: 'failed',
  lost: 'failed',
  rejected: 'rejected',
  cancelled: 'stopped',
  interrupted: 'stopped',
  skipped: 'none',
};

function ofRun(row: StageRow): Said {
  const state = OF_RUN[row.status] ?? 'none';
  const why = row.failure || (state === 'cached' ? row.reason : '');
  return { state, seconds: state === 'succeeded' ? (row.seconds ?? null) : null, reasons: why ? [why] : [] };
}

function ofKernel(live: KernelStage): Said {
  const reasons = live.reasons.map((reason) => reason.text);
  const state = live.state === 'failed' ? 'failed' : live.state === 'stale' ? 'stale' : 'succeeded';
  return { state, seconds: state === 'succeeded' ? live.seconds : null, reasons };
}

/** What stands in the badge behind the name: `✓ 3.2 s`, `● running`. */
export function badgeText(badge: Badge, word: (state: BadgeState) => string): string {
  const symbol = SYMBOLS[badge.state];
  if (badge.state === 'succeeded') {
    return badge.seconds === null ? symbol : `${symbol} ${duration(badge.seconds)}`;
  }
  return symbol && `${symbol} ${word(badge.state)}`;
}
