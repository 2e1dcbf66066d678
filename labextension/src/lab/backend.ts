import { Poll } from '@lumino/polling';

import type { RunEvent } from '../shared/api';
import { Refused, type Backend } from '../shared/backend';
import type { Change, Curve, Diff, Page, Progress, Query, RunRow } from '../shared/types';
import type { Api } from './api';
import { serverPath } from './serverPath';

/** Events of one moment are one question. */
const GATHER = 40;
/** Seconds between looks for what events did not tell. */
export interface Pace {
  /** While runs are on. */
  running: number;
  /** Otherwise. */
  idle: number;
}

export const PACE: Pace = { running: 5, idle: 60 };
/** The newest runs are looked through: what is older has ended. */
const LOOKED = 50;

/**
 * A project's runs, from the server.
 *
 * Responsibilities: answers the shared views, and tells them of changes: those events speak of, and, should events be lost
 * or refused, those that a look from time to time finds. It must not keep rows beyond what telling changes apart needs.
 */
export class ServerBackend implements Backend {
  private readonly listeners = new Set<(change: Change) => void>();
  /** Runs that were listed: those of this notebook. */
  private readonly known = new Set<string>();
  /** Run -> its row as text, as it was told last, or given to who asked first. */
  private readonly told = new Map<string, string>();
  /** Runs that the last look found, the newest first. */
  private found: string[] | undefined;
  private readonly running = new Set<string>();
  private readonly moved = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly poll: Poll<undefined, Error>;

  constructor(
    private readonly api: Api,
    readonly path: string,
    private pace: Pace = PACE,
    /** Somebody listens, or nobody does any more. */
    private readonly used: (backend: ServerBackend, isUsed: boolean) => void = () => undefined,
  ) {
    this.poll = new Poll<undefined, Error>({
      name: `nbpipe:runs ${path}`,
      auto: false,
      standby: 'when-hidden',
      frequency: { interval: pace.idle * 1000, backoff: true, max: Math.max(300, pace.idle) * 1000 },
      factory: async () => {
        await this.look();
        return undefined;
      },
    });
  }

  page = async (query: Query): Promise<Page> => {
    const page = await this.api.runs(this.path, query);
    this.note(page.rows);
    return page;
  };
  rows = async (runs: string[]): Promise<RunRow[]> => (await this.api.rows(this.path, runs)).rows;
  curves = (runs: string[], metric: string): Promise<Record<string, Curve>> =>
    this.api.curves(this.path, runs, metric);
  progress = (run: string): Promise<Progress> => this.api.progress(this.path, run);
  diff = (a: string, b: string, parts: string[], everything: boolean): Promise<Diff> =>
    this.api.diff(this.path, a, b, parts, everything);

  subscribe = (listener: (change: Change) => void): (() => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) {
      this.used(this, true);
      void this.poll.start();
    }
    return () => {
      if (this.listeners.delete(listener) && this.listeners.size === 0) {
        this.rest();
        this.used(this, false);
      }
    };
  };

  /** Take note of an event, if it is about this project. */
  hear(event: RunEvent): void {
    const { project } = event;
    if (!this.isUsed || (project !== '' && !serverPath(this.path).startsWith(`${project}/`))) {
      return;
    }
    this.moved.add(event.run);
    this.fetchSoon();
  }

  get isUsed(): boolean {
    return this.listeners.size > 0;
  }

  /** Look now for what changed: what events did not tell, and what they told while the server did not answer. */
  async look(): Promise<void> {
    const page = await this.api.runs(this.path, { limit: LOOKED });
    const runs = page.rows.map(({ run }) => run);
    // Those behind the last of the page may be there still.
    const last = runs.length < LOOKED ? 0 : number(runs.at(-1));
    const gone = (this.found ?? []).filter((run) => !runs.includes(run) && number(run) > last);
    const rows = page.rows.filter((row) => {
      const told = this.told.get(row.run);
      return told === undefined ? this.found !== undefined : told !== JSON.stringify(row);
    });
    this.found = runs;
    this.note(page.rows);
    gone.forEach((run) => this.forget(run));
    this.tell({ rows, gone: gone.length > 0 });
    if (this.moved.size > 0) {
      this.fetchSoon();
    }
  }

  /** Look at another pace from now on. */
  setPace(pace: Pace): void {
    this.pace = pace;
    this.keepPace();
  }

  dispose(): void {
    this.listeners.clear();
    this.rest();
    this.poll.dispose();
  }

  /** Nobody listens: nothing is asked, and nothing remembered that may be otherwise by the time somebody does. */
  private rest(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.moved.clear();
    this.told.clear();
    this.known.clear();
    this.running.clear();
    this.found = undefined;
    if (!this.poll.isDisposed) {
      void this.poll.stop();
    }
  }

  private fetchSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.fetchMoved();
    }, GATHER);
  }

  private async fetchMoved(): Promise<void> {
    const runs = [...this.moved];
    this.moved.clear();
    try {
      const moved = await this.rows(runs);
      const found = new Set(moved.map((row) => row.run));
      const rows = await this.ours(moved);
      const gone = runs.filter((run) => !found.has(run));
      this.note(rows);
      gone.forEach((run) => this.forget(run));
      this.tell({ rows, gone: gone.length > 0 });
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      // After the next look, if that is answered, it is asked again.
      runs.forEach((run) => this.moved.add(run));
    }
  }

  /** Events are about all notebooks of a project: a run that was never listed for this one may be another's. */
  private async ours(rows: RunRow[]): Promise<RunRow[]> {
    if (rows.every(({ run }) => this.known.has(run))) {
      return rows;
    }
    const page = await this.api.runs(this.path, { limit: LOOKED });
    const listed = new Set(page.rows.map(({ run }) => run));
    return rows.filter(({ run }) => this.known.has(run) || listed.has(run));
  }

  /** Remember what rows say, and look more often while runs are on. */
  private note(rows: RunRow[]): void {
    for (const row of rows) {
      this.known.add(row.run);
      if (!this.told.has(row.run)) {
        this.told.set(row.run, JSON.stringify(row));
      }
      if (row.status === 'running') {
        this.running.add(row.run);
      } else {
        this.running.delete(row.run);
      }
    }
    this.keepPace();
  }

  private keepPace(): void {
    const { running, idle } = this.pace;
    const interval = (this.running.size > 0 ? running : idle) * 1000;
    const before = this.poll.frequency.interval;
    if (before !== interval) {
      this.poll.frequency = { backoff: true, interval, max: Math.max(300_000, interval) };
      if (interval < before && this.listeners.size > 0) {
        // What is scheduled already keeps the old pace.
        void this.poll.refresh();
      }
    }
  }

  private forget(run: string): void {
    this.running.delete(run);
    this.told.delete(run);
    this.known.delete(run);
    this.found = this.found?.filter((other) => other !== run);
  }

  private tell(change: Change): void {
    for (const row of change.rows) {
      this.told.set(row.run, JSON.stringify(row));
    }
    if (change.rows.length > 0 || change.gone) {
      this.listeners.forEach((listener) => listener(change));
    }
  }
}

/** 41 of `r41`. */
function number(run: string | undefined): number {
  return Number(run?.slice(1) ?? 0);
}
