import { Signal, type ISignal } from '@lumino/signaling';

import type { PipelineView, PlanView } from '../shared/api';
import { problemText, Refused } from '../shared/backend';
import type { Change, Progress } from '../shared/types';
import type { INbpipe } from './tokens';

/** What is known of a notebook as it stands. */
export interface PipelineState {
  readonly pipeline: PipelineView | undefined;
  /** What a run would do now; undefined while that is being worked out, or where it cannot run. */
  readonly plan: PlanView | undefined;
  /** The run that is on, or the last one. */
  readonly latest: Progress | undefined;
  /** Why there is no pipeline. */
  readonly problem: string;
  /** The stage of the selected cell. */
  readonly stage: string;
}

export const UNKNOWN: PipelineState = {
  pipeline: undefined,
  plan: undefined,
  latest: undefined,
  problem: '',
  stage: '',
};

/** What a model needs of the other parts. */
export type Around = Pick<INbpipe, 'api' | 'notebooks' | 'backend'>;

/**
 * The pipeline of one notebook, unsaved edits included, and how it stands: one for all that show it.
 *
 * Responsibilities: follows the notebook's edits and runs while somebody looks, with one question about the notebook on its
 * way at a time; an answer that the notebook has left behind is followed by another question. It must not ask for anything
 * while nobody looks, and must not draw.
 */
export class PipelineModel {
  /** The server is asked about the notebook as it stands at this moment. */
  readonly asking: ISignal<this, undefined>;
  private readonly isAsking = new Signal<this, undefined>(this);
  private state = UNKNOWN;
  private readonly listeners = new Set<() => void>();
  private lookers = 0;
  private due = false;
  private flight: AbortController | undefined;
  private followed = 0;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly around: Around,
    readonly path: string,
  ) {
    this.asking = this.isAsking;
  }

  get isUsed(): boolean {
    return this.lookers > 0 || this.listeners.size > 0;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get = (): PipelineState => this.state;

  /** Somebody looks, until the returned function is called. */
  look(): () => void {
    this.lookers += 1;
    if (this.lookers === 1) {
      const { notebooks } = this.around;
      notebooks.edited.connect(this.onEdited);
      notebooks.moved.connect(this.place);
      this.place();
      this.unsubscribe = this.around.backend(this.path).subscribe((change) => void this.hear(change));
      void this.refresh();
    }
    let looks = true;
    return () => {
      if (looks) {
        looks = false;
        this.lookers -= 1;
        this.rest();
      }
    };
  }

  /** Ask for everything again, if somebody looks. */
  async refresh(): Promise<void> {
    await Promise.all([this.examine(), this.followLatest()]);
  }

  /** Show the cell of a stage. */
  jump(stage: string): void {
    const found = this.find(stage);
    if (found) {
      void this.around.notebooks.jump(this.path, found.ids[0] ?? '', found.cells[0]);
    }
  }

  /** Make a stage the selected one, and its cell that of the notebook. */
  select(stage: string): void {
    const id = this.find(stage)?.ids[0] ?? '';
    if (!this.around.notebooks.select(this.path, id)) {
      this.set({ stage });
    }
  }

  private find(stage: string) {
    return this.state.pipeline?.stages.find((one) => one.name === stage);
  }

  private rest(): void {
    if (this.lookers === 0) {
      const { notebooks } = this.around;
      notebooks.edited.disconnect(this.onEdited);
      notebooks.moved.disconnect(this.place);
      this.unsubscribe?.();
      this.unsubscribe = undefined;
      this.due = false;
      this.flight?.abort();
      this.flight = undefined;
    }
  }

  private readonly onEdited = (_: unknown, path: string): void => {
    if (path === this.path) {
      void this.examine();
    }
  };

  private async examine(): Promise<void> {
    if (this.lookers === 0) {
      return;
    }
    this.due = true;
    if (this.flight) {
      return;
    }
    const flight = new AbortController();
    this.flight = flight;
    while (this.isDue(flight.signal)) {
      this.due = false;
      await this.ask(flight.signal);
    }
    if (!flight.signal.aborted) {
      this.flight = undefined;
    }
  }

  private isDue(signal: AbortSignal): boolean {
    return this.due && !signal.aborted;
  }

  /** One question about the notebook, and one about the plan where there may be a run and nothing was edited since. */
  private async ask(signal: AbortSignal): Promise<void> {
    const { around, path } = this;
    const content = around.notebooks.content(path);
    const question = content ? { path, content } : { path };
    const isWanted = (): boolean => !signal.aborted;
    this.isAsking.emit(undefined);
    try {
      const pipeline = await around.api.pipeline(question, signal);
      if (!isWanted()) {
        return;
      }
      const broken = pipeline.problems.some(({ severity }) => severity === 'error');
      const runs = pipeline.stages.length > 0 && !broken;
      this.set({ pipeline, problem: '', ...(runs ? {} : { plan: undefined }) });
      this.place();
      if (runs && !this.due) {
        const plan = await around.api.plan(question, signal);
        if (isWanted()) {
          this.set({ plan });
        }
      }
    } catch (error) {
      if (isWanted()) {
        this.set({ problem: problemText(error), plan: undefined });
      }
    }
  }

  private async hear({ rows, gone }: Change): Promise<void> {
    const shown = this.state.latest?.row;
    const ended = rows.some((row) => row.run === shown?.run && row.status !== 'running');
    const news = rows.some(
      (row) =>
        row.kind !== 'trial' &&
        (!shown || row.run === shown.run || (row.started ?? 0) >= (shown.started ?? 0)),
    );
    if (gone || news) {
      await this.followLatest();
    }
    if (gone || ended) {
      // What was planned before the run is not what would be done after it.
      this.set({ plan: undefined });
      await this.examine();
    }
  }

  private async followLatest(): Promise<void> {
    if (this.lookers === 0) {
      return;
    }
    this.followed += 1;
    const { followed } = this;
    const backend = this.around.backend(this.path);
    try {
      const { rows } = await backend.page({ limit: 1 });
      const latest = rows[0] ? await backend.progress(rows[0].run) : undefined;
      if (followed === this.followed) {
        this.set({ latest });
      }
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      this.set({ problem: problemText(error) });
    }
  }

  private readonly place = (): void => {
    const id = this.around.notebooks.selectedCell(this.path);
    const stage = this.state.pipeline?.stages.find((one) => one.ids.includes(id))?.name ?? '';
    if (id && stage !== this.state.stage) {
      this.set({ stage });
    }
  };

  private set(change: Partial<PipelineState>): void {
    this.state = { ...this.state, ...change };
    this.listeners.forEach((listener) => listener());
  }
}
