import { problemText, type Backend } from './backend';
import type { Change, Curve, Page, Query, RunRow } from './types';
import { whole } from './format';
import { statusWord } from './Status';
import { ENGLISH, type Words } from './words';

/** Rows of a page; pages kept at a time: memory stays flat however long the history is. */
export const PAGE = 100;
const KEPT = 12;

export interface Names {
  params: string[];
  metrics: string[];
  tags: string[];
  curves: string[];
}

export interface HistoryState {
  readonly query: Query;
  readonly total: number;
  readonly names: Names;
  readonly selected: readonly string[];
  readonly baseline: string;
  readonly pinned: readonly string[];
  /** Ids of columns that somebody chose; empty: chosen by what there is. */
  readonly columns: readonly string[];
  readonly loading: boolean;
  readonly problem: string;
  /** What the last answer could not do: names that no row has, a server that is down. */
  readonly remarks: readonly string[];
  /** Runs that began since the page was read, and that it does not show. */
  readonly unseen: number;
  /** Read out by screen readers. */
  readonly said: string;
  /** Raised with every change of rows: what `row()` returns may be another. */
  readonly rev: number;
}

/** What is written back to where the view lives: the kernel's traits, or the state of the lab. */
export type Kept = Pick<HistoryState, 'query' | 'selected' | 'baseline' | 'pinned' | 'columns'>;

/**
 * The state of a history view, and the rows that are at hand.
 *
 * Responsibilities: asks for pages when they are looked at; keeps few; merges what changes while runs are on. It must not
 * know who answers, nor draw.
 */
export class HistoryStore {
  private state: HistoryState;
  private readonly pages = new Map<number, (RunRow | undefined)[]>();
  private readonly asked = new Set<number>();
  /** Rows that stay at hand whatever page is shown: selected, pinned, the baseline. */
  private readonly held = new Map<string, RunRow>();
  private readonly curvesOf = new Map<string, Curve | null>();
  private readonly curvesOnTheirWay = new Set<string>();
  /** Curves whose run moved on since they were asked for. */
  private readonly oldCurves = new Set<string>();
  private readonly listeners = new Set<() => void>();
  private generation = 0;
  private readonly unsubscribe: () => void;

  constructor(
    readonly backend: Backend,
    kept: Partial<Kept> = {},
    first?: Page,
    private readonly keep: (kept: Kept) => void = () => undefined,
    private readonly trans: Words = ENGLISH,
  ) {
    this.state = {
      query: kept.query ?? {},
      total: 0,
      names: { params: [], metrics: [], tags: [], curves: [] },
      selected: kept.selected ?? [],
      baseline: kept.baseline ?? '',
      pinned: kept.pinned ?? [],
      columns: kept.columns ?? [],
      loading: true,
      problem: '',
      remarks: [],
      unseen: 0,
      said: '',
      rev: 0,
    };
    if (first) {
      this.take(first);
    }
    this.unsubscribe = backend.subscribe((change) => this.merge(change));
    void this.load(0);
    void this.fetchHeld();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get = (): HistoryState => this.state;

  dispose(): void {
    this.generation += 1;
    this.unsubscribe();
    this.listeners.clear();
  }

  /** The row at this place of the table; undefined while it is on its way. */
  row(index: number): RunRow | undefined {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** The row of a run that is at hand. */
  find(run: string): RunRow | undefined {
    const held = this.held.get(run);
    if (held) {
      return held;
    }
    for (const page of this.pages.values()) {
      const found = page.find((row) => row?.run === run);
      if (found) {
        return found;
      }
    }
    return undefined;
  }

  /** The rows that are at hand, in order: enough to choose columns by. */
  atHand(): RunRow[] {
    return [...this.pages.values()].flat().filter((row) => row !== undefined);
  }

  curve(run: string, metric: string): Curve | null | undefined {
    return this.curvesOf.get(`${metric} ${run}`);
  }

  /** See to it that these places of the table are at hand. */
  look(from: number, to: number): void {
    for (let page = Math.floor(from / PAGE); page <= Math.floor(Math.max(to - 1, from) / PAGE); page += 1) {
      if (!this.pages.has(page) && !this.asked.has(page) && page * PAGE < this.state.total) {
        void this.load(page);
      }
    }
  }

  /** Ask for the points of this metric, for runs that have not been asked for or moved on since. */
  async lookAtCurves(runs: string[], metric: string): Promise<void> {
    const missing = runs.filter((run) => this.lacksCurve(`${metric} ${run}`)).slice(0, 60);
    if (missing.length === 0) {
      return;
    }
    if (this.curvesOf.size > 2000) {
      this.curvesOf.clear();
    }
    const keys = missing.map((run) => `${metric} ${run}`);
    for (const key of keys) {
      this.curvesOnTheirWay.add(key);
      this.oldCurves.delete(key);
    }
    let found: Record<string, Curve> = {};
    let problem = '';
    try {
      found = await this.backend.curves(missing, metric);
    } catch (error) {
      problem = problemText(error);
    }
    missing.forEach((run, n) => {
      const key = keys[n] ?? '';
      this.curvesOnTheirWay.delete(key);
      this.curvesOf.set(key, found[run] ?? this.curvesOf.get(key) ?? null);
    });
    this.set(problem ? { problem } : { rev: this.state.rev + 1 });
  }

  ask(change: Query): void {
    this.set({ query: { ...this.state.query, ...change } });
    this.refresh();
  }

  /** Read the first page again, then what is looked at. */
  refresh(): void {
    this.generation += 1;
    this.asked.clear();
    this.set({ loading: true, unseen: 0 });
    void this.load(0);
  }

  toggle(run: string): void {
    const { selected } = this.state;
    const on = !selected.includes(run);
    this.hold(run);
    const now = on ? [...selected, run] : selected.filter((other) => other !== run);
    this.set({
      selected: now,
      said: on
        ? this.trans.__('%1 checked, %2 in all', run, now.length)
        : this.trans.__('%1 not checked, %2 in all', run, now.length),
    });
  }

  select(runs: readonly string[]): void {
    this.set({ selected: runs });
    void this.fetchHeld();
  }

  setBaseline(run: string): void {
    const baseline = this.state.baseline === run ? '' : run;
    this.hold(run);
    this.set({
      baseline,
      said: baseline ? this.trans.__('%1 is the baseline', run) : this.trans.__('no baseline'),
    });
    void this.fetchHeld();
  }

  pin(run: string): void {
    const { pinned } = this.state;
    const on = !pinned.includes(run);
    this.hold(run);
    this.set({
      pinned: on ? [...pinned, run] : pinned.filter((other) => other !== run),
      said: on ? this.trans.__('%1 pinned', run) : this.trans.__('%1 not pinned', run),
    });
  }

  choose(columns: readonly string[]): void {
    this.set({ columns });
  }

  /** Take over what was set elsewhere, such as `w.baseline = "r3"` in Python. */
  adopt(kept: Partial<Kept>): void {
    const asks = kept.query !== undefined && JSON.stringify(kept.query) !== JSON.stringify(this.state.query);
    this.state = { ...this.state, ...kept };
    this.tell();
    void this.fetchHeld();
    if (asks) {
      this.refresh();
    }
  }

  private async load(page: number): Promise<void> {
    const generation = this.generation;
    this.asked.add(page);
    try {
      const found = await this.backend.page({ ...this.state.query, offset: page * PAGE, limit: PAGE });
      if (generation === this.generation) {
        if (page === 0) {
          this.pages.clear();
        }
        this.take(found);
      }
    } catch (error) {
      if (generation === this.generation) {
        this.set({ problem: problemText(error), loading: false });
      }
    } finally {
      if (generation === this.generation) {
        this.asked.delete(page);
      }
    }
  }

  private take(page: Page): void {
    this.pages.set(Math.floor(page.offset / PAGE), page.rows);
    for (const [oldest] of this.pages) {
      if (this.pages.size <= KEPT) {
        break;
      }
      this.pages.delete(oldest);
    }
    for (const row of page.rows) {
      if (this.held.has(row.run)) {
        this.held.set(row.run, row);
      }
    }
    const unknown = (page.unknown ?? []).map((name) => this.trans.__('no run has %1', name));
    this.set({
      total: page.total,
      names: {
        params: page.params,
        metrics: page.metrics,
        tags: page.tags,
        // Only the first page says.
        curves: page.offset === 0 ? (page.curves ?? []) : this.state.names.curves,
      },
      loading: false,
      problem: '',
      remarks: [...unknown, ...(page.problems ?? [])],
      said:
        page.offset === 0 && page.total !== this.state.total
          ? this.trans._n('%2 run', '%2 runs', page.total, whole(page.total))
          : this.state.said,
      rev: this.state.rev + 1,
    });
  }

  private merge(change: Change): void {
    const kinds = this.state.query.kinds ?? ['run'];
    const rows = change.rows.filter((row) => kinds.length === 0 || kinds.includes(row.kind ?? 'run'));
    let unseen = 0;
    let said = this.state.said;
    for (const row of rows) {
      const before = this.find(row.run);
      if (before) {
        this.replace(row);
        if (before.status === 'running' && row.status !== 'running') {
          said = `${row.run} ${statusWord(row.status, this.trans)}`;
        }
      } else {
        unseen += 1;
      }
    }
    if (change.gone || (unseen > 0 && !this.narrowed())) {
      this.set({ said });
      this.insert(rows.filter((row) => !this.find(row.run)));
      void this.load(0);
      return;
    }
    this.set({ said, unseen: this.state.unseen + unseen, rev: this.state.rev + 1 });
  }

  /** New runs stand on top at once: a kernel that is busy with one answers no question. */
  private insert(rows: RunRow[]): void {
    const first = this.pages.get(0);
    if (rows.length > 0 && first) {
      this.pages.set(0, [...rows, ...first].slice(0, PAGE));
      this.set({ total: this.state.total + rows.length, rev: this.state.rev + 1 });
    }
  }

  private replace(row: RunRow): void {
    for (const key of [...this.curvesOf.keys(), ...this.curvesOnTheirWay]) {
      if (key.endsWith(` ${row.run}`)) {
        this.oldCurves.add(key);
      }
    }
    if (this.held.has(row.run)) {
      this.held.set(row.run, row);
    }
    for (const page of this.pages.values()) {
      const at = page.findIndex((other) => other?.run === row.run);
      if (at >= 0) {
        page[at] = row;
      }
    }
  }

  private lacksCurve(key: string): boolean {
    return !this.curvesOnTheirWay.has(key) && (!this.curvesOf.has(key) || this.oldCurves.has(key));
  }

  private narrowed(): boolean {
    const { text, where, statuses, sort, notebook } = this.state.query;
    return Boolean(text || notebook || sort || (where ?? []).length > 0 || (statuses ?? []).length > 0);
  }

  private hold(run: string): void {
    const row = this.find(run);
    if (row) {
      this.held.set(run, row);
    }
  }

  private async fetchHeld(): Promise<void> {
    const { selected, pinned, baseline } = this.state;
    const wanted = [...new Set([...selected, ...pinned, ...(baseline ? [baseline] : [])])];
    wanted.forEach((run) => this.hold(run));
    const missing = wanted.filter((run) => !this.held.has(run));
    if (missing.length === 0) {
      return;
    }
    try {
      (await this.backend.rows(missing)).forEach((row) => this.held.set(row.run, row));
      this.set({ rev: this.state.rev + 1 });
    } catch (error) {
      this.set({ problem: problemText(error) });
    }
  }

  private set(change: Partial<HistoryState>): void {
    const kept = ['query', 'selected', 'baseline', 'pinned', 'columns'] as const;
    const changed = kept.some((name) => name in change && change[name] !== this.state[name]);
    this.state = { ...this.state, ...change };
    if (changed) {
      const { query, selected, baseline, pinned, columns } = this.state;
      this.keep({ query, selected, baseline, pinned, columns });
    }
    this.tell();
  }

  private tell(): void {
    this.listeners.forEach((listener) => listener());
  }
}
