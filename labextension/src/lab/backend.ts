import { Poll } from '@lumino/polling';

import type { RunEvent } from '../shared/api';
import { Refused, type Backend } from '../shared/backend';
import type { Change, Curve, Diff, Page, Progress, Query, RunRow } from '../shared/types';
import type { Api } from './api';

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
  /** Run -> its newest row as text. */
  private readonly known = new Map<string, string>();
  private readonly running = new Set<string>();
  private readonly moved = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly poll: Poll<undefined, Error>;
  private looked = false;

  constructor(
    private readonly api: Api,
    readonly path: string,
    private pace: Pace = PACE,
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
      void this.poll.start();
    }
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) {
        void this.poll.stop();
      }
    };
  };

  /** Take note of an event, if it is about this project. */
  hear(event: RunEvent): void {
    const { project } = event;
    if (this.listeners.size === 0 || (project !== '' && !this.path.startsWith(`${project}/`))) {
      return;
    }
    this.moved.add(event.run);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.fetchMoved();
    }, GATHER);
  }

  /** Look now for what changed. */
  async look(): Promise<void> {
    const page = await this.api.runs(this.path, { limit: LOOKED });
    const news = this.looked
      ? page.rows.filter((row) => this.known.get(row.run) !== JSON.stringify(row))
      : [];
    this.looked = true;
    this.note(page.rows);
    this.tell({ rows: news, gone: false });
  }

  /** Look at another pace from now on. */
  setPace(pace: Pace): void {
    this.pace = pace;
    this.keepPace();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.listeners.clear();
    this.poll.dispose();
  }

  private async fetchMoved(): Promise<void> {
    const runs = [...this.moved];
    this.moved.clear();
    try {
      const moved = await this.rows(runs);
      const found = new Set(moved.map((row) => row.run));
      const rows = await this.ours(moved);
      this.note(rows);
      this.tell({ rows, gone: runs.some((run) => !found.has(run) && this.forget(run)) });
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      // The next look finds what this one would have told.
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
      this.known.set(row.run, JSON.stringify(row));
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

  /** True where it was known. */
  private forget(run: string): boolean {
    this.running.delete(run);
    return this.known.delete(run);
  }

  private tell(change: Change): void {
    if (change.rows.length > 0 || change.gone) {
      this.listeners.forEach((listener) => listener(change));
    }
  }
}
