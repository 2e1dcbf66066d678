import type { Change, Curve, Diff, Page, Progress, Query, RunRow } from './types';

/** Where the views get what they show. The widget asks its kernel, the sidebar its server: nothing else differs. */
export interface Backend {
  page(query: Query): Promise<Page>;
  rows(runs: string[]): Promise<RunRow[]>;
  /** Run -> the points of the metric; runs that logged none are left out. */
  curves(runs: string[], metric: string): Promise<Record<string, Curve>>;
  progress(run: string): Promise<Progress>;
  diff(a: string, b: string, parts: string[], everything: boolean): Promise<Diff>;
  /** Hear what changes, until the returned function is called. */
  subscribe(listener: (change: Change) => void): () => void;
}

/** An answer that says why there is none. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly fix = '',
    /** Which of the known reasons it is; '' for one that has no code. */
    readonly code = '',
  ) {
    super(message);
    this.name = 'Refused';
  }
}

/** What went wrong, and what to do next, in one text. */
export function problemText(error: unknown): string {
  if (error instanceof Refused) {
    return error.fix ? `${error.message}. ${error.fix}` : error.message;
  }
  return error instanceof Error ? error.message : String(error);
}
