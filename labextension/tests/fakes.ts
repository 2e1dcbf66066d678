import type { Backend } from '../src/shared/backend';
import type { Change, Curve, Diff, Page, Progress, Query, RunRow } from '../src/shared/types';

export function row(n: number, more: Partial<RunRow> = {}): RunRow {
  return {
    run: `r${n}`,
    status: 'succeeded',
    started: 1000 + n,
    seconds: 2,
    params: { lr: n / 1000, model: n % 2 ? 'cnn' : 'mlp' },
    given: ['lr'],
    metrics: { acc: n / 100 },
    ...more,
  };
}

/** A history in memory: `count` runs, the newest first. */
export class MemoryBackend implements Backend {
  rowsOfAll: RunRow[];
  asked: Query[] = [];
  curvesOfRuns: Record<string, Curve> = {};
  diffs: Diff | undefined;
  private listeners = new Set<(change: Change) => void>();

  constructor(count: number, more: Partial<RunRow> = {}) {
    this.rowsOfAll = Array.from({ length: count }, (_, n) => row(count - n, more));
  }

  page = (query: Query): Promise<Page> => {
    this.asked.push(query);
    const found = this.rowsOfAll
      .filter((item) => !query.text || JSON.stringify(item).includes(query.text))
      .filter((item) => !query.statuses?.length || query.statuses.includes(item.status));
    const { offset = 0, limit = 50 } = query;
    return Promise.resolve({
      rows: found.slice(offset, offset + (limit ?? found.length)),
      total: found.length,
      offset,
      params: ['lr', 'model'],
      metrics: ['acc'],
      tags: [],
      curves: [],
    });
  };

  rows = (runs: string[]): Promise<RunRow[]> =>
    Promise.resolve(this.rowsOfAll.filter((item) => runs.includes(item.run)));

  curves = (runs: string[]): Promise<Record<string, Curve>> =>
    Promise.resolve(
      Object.fromEntries(Object.entries(this.curvesOfRuns).filter(([run]) => runs.includes(run))),
    );

  progress = (run: string): Promise<Progress> =>
    Promise.resolve({
      row: row(Number(run.slice(1))),
      stages: [{ name: 'train', status: 'succeeded' }],
      warnings: [],
      now: 0,
    });

  diff = (): Promise<Diff> =>
    this.diffs ? Promise.resolve(this.diffs) : Promise.reject(new Error('there is no diff'));

  subscribe = (listener: (change: Change) => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  tell(change: Change): void {
    this.listeners.forEach((listener) => listener(change));
  }

  get heard(): number {
    return this.listeners.size;
  }
}
