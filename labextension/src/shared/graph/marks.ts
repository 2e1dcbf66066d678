import type { KernelStatus, PipelineView, PlanView } from '../api';
import { duration } from '../format';
import type { Progress } from '../types';
import { ENGLISH, type Words } from '../words';

/** What is known of a stage now. */
export interface Mark {
  /** The word that is shown, with its symbol: a status of a run, `cached`, `to run`, `stale`, `fresh`, `not run` or `unknown`. */
  state: string;
  /** How long it took; while it runs, since when (seconds since the epoch). */
  seconds?: number | null;
  started?: number | null;
  expected?: number | null;
  reason?: string;
  /** How many errors its cells have. */
  errors?: number;
}

export type Marks = Record<string, Mark>;

/** Stages that a run has not come to, or not yet. */
const NOTHING = ['waiting', 'skipped'];

interface Sources {
  pipeline: PipelineView;
  /** What a run would do now. */
  plan?: PlanView | undefined;
  /** The run that is on, or the last one. */
  progress?: Progress | undefined;
  /** The variables of the live kernel. */
  kernel?: KernelStatus | undefined;
}

/** One mark per stage. A run that is on counts first, then what has failed, then the plan, then the kernel. */
export function marksOf({ pipeline, plan, progress, kernel }: Sources): Marks {
  const running = progress?.row.status === 'running';
  return Object.fromEntries(
    pipeline.stages.map(({ name }) => {
      const planned = plan?.stages.find((stage) => stage.name === name);
      const ran = progress?.stages.find((stage) => stage.name === name);
      const live = kernel?.stages.find((stage) => stage.stage === name);
      const errors = pipeline.problems.filter(
        (problem) => problem.stage === name && problem.severity === 'error',
      ).length;
      const mark: Mark = { state: 'unknown', expected: planned?.expected ?? ran?.expected ?? null, errors };
      if (ran) {
        mark.state = ran.status;
        mark.seconds = ran.seconds ?? null;
        mark.started = ran.started ?? null;
        mark.reason = ran.failure ?? ran.reason ?? '';
      }
      const over = ran && !NOTHING.includes(ran.status);
      if (!running && planned && planned.action !== 'unknown') {
        const failed = over && !['succeeded', 'cached'].includes(ran.status);
        const done = over && ran.status === 'succeeded' && planned.action === 'hit';
        if (!failed && !done) {
          mark.state = planned.action === 'hit' ? 'cached' : over ? 'stale' : 'to run';
          mark.reason = planned.reason;
        }
      } else if (!running && !over && live) {
        mark.state = live.state;
        mark.seconds = live.seconds;
        mark.reason = live.reasons.map((reason) => reason.text).join('; ');
      }
      return [name, mark];
    }),
  );
}

/** `0:41`, `~0:27 left` or `about 12 s`; "" where nothing is known. */
export function timeOf(mark: Mark | undefined, now: number, trans: Words = ENGLISH): string {
  if (!mark) {
    return '';
  }
  const { state, seconds, started, expected } = mark;
  if (state === 'running') {
    const gone = started ? Math.max(now - started, 0) : 0;
    return expected && expected > gone ? trans.__('~%1 left', duration(expected - gone)) : duration(gone);
  }
  if (['to run', 'stale', 'waiting'].includes(state)) {
    return expected ? `~${duration(expected)}` : '';
  }
  return seconds && state !== 'cached' ? duration(seconds) : '';
}
