import type { PipelineView, PlanView } from '../shared/api';
import { problemText } from '../shared/backend';
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

/**
 * The pipeline of one notebook, unsaved edits included, and how it stands.
 *
 * Responsibilities: follows the notebook's edits and runs while somebody looks. It must not ask for anything otherwise.
 */
export class PipelineModel {
  private state = UNKNOWN;
  private readonly listeners = new Set<() => void>();
  private visible = false;
  private generation = 0;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly nbpipe: INbpipe,
    readonly path: string,
  ) {
    nbpipe.notebooks.edited.connect(this.onEdited);
    nbpipe.notebooks.moved.connect(this.place);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get = (): PipelineState => this.state;

  /** It came into sight, or went out of it. */
  look(visible: boolean): void {
    if (visible && !this.visible) {
      this.unsubscribe ??= this.nbpipe.backend(this.path).subscribe((change) => void this.hear(change));
      void this.refresh();
    } else if (!visible) {
      this.unsubscribe?.();
      this.unsubscribe = undefined;
    }
    this.visible = visible;
  }

  async refresh(): Promise<void> {
    await Promise.all([this.examine(), this.followLatest()]);
  }

  jump(stage: string): void {
    const found = this.state.pipeline?.stages.find((one) => one.name === stage);
    if (found) {
      void this.nbpipe.notebooks.jump(this.path, found.ids[0] ?? '', found.cells[0]);
    }
  }

  dispose(): void {
    this.look(false);
    this.generation += 1;
    this.nbpipe.notebooks.edited.disconnect(this.onEdited);
    this.nbpipe.notebooks.moved.disconnect(this.place);
    this.listeners.clear();
  }

  private readonly onEdited = (_: unknown, path: string): void => {
    if (path === this.path && this.visible) {
      void this.examine();
    }
  };

  private async examine(): Promise<void> {
    const { api, notebooks } = this.nbpipe;
    this.generation += 1;
    const { generation, path } = this;
    const content = notebooks.content(path);
    const question = content ? { path, content } : { path };
    try {
      const pipeline = await api.pipeline(question);
      if (generation !== this.generation) {
        return;
      }
      this.set({ pipeline, problem: '' });
      this.place();
      const broken = pipeline.problems.some(({ severity }) => severity === 'error');
      const plan = pipeline.stages.length > 0 && !broken ? await api.plan(question) : undefined;
      if (generation === this.generation) {
        this.set({ plan });
      }
    } catch (error) {
      if (generation === this.generation) {
        this.set({ problem: problemText(error), plan: undefined });
      }
    }
  }

  private async hear(change: Change): Promise<void> {
    const shown = this.state.latest?.row.run;
    const ended = change.rows.some((row) => row.run === shown && row.status !== 'running');
    await this.followLatest();
    if (ended || change.gone) {
      await this.examine();
    }
  }

  private async followLatest(): Promise<void> {
    const backend = this.nbpipe.backend(this.path);
    try {
      const { rows } = await backend.page({ limit: 1 });
      this.set({ latest: rows[0] ? await backend.progress(rows[0].run) : undefined });
    } catch (error) {
      this.set({ problem: problemText(error) });
    }
  }

  private readonly place = (): void => {
    const id = this.nbpipe.notebooks.selectedCell(this.path);
    const stage = this.state.pipeline?.stages.find((one) => one.ids.includes(id))?.name ?? '';
    if (stage !== this.state.stage) {
      this.set({ stage });
    }
  };

  private set(change: Partial<PipelineState>): void {
    this.state = { ...this.state, ...change };
    this.listeners.forEach((listener) => listener());
  }
}
