import type { ICellModel } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { Debouncer } from '@lumino/polling';
import { Signal, type ISignal } from '@lumino/signaling';

import type { KernelStatus, PipelineView, PlanView } from '../../shared/api';
import { Refused } from '../../shared/backend';
import type { Progress } from '../../shared/types';
import type { INbpipe } from '../tokens';
import { contentOf } from './content';
import { KernelQuestions } from './kernel';
import { NewestRun } from './newest';
import { badges, type Badge, type Known } from './state';
import { CellWatch } from './watch';

const SETTLE = 300;

/**
 * What is known of one notebook: its cells, its kernel, its newest run, its pipeline, together as badges.
 *
 * Responsibilities: asks on opening, after a save, after executions and on events of runs; `changed` tells, at most once a
 * frame. It must not draw, and must not write into the document.
 */
export class NotebookState {
  readonly changed: ISignal<this, undefined>;
  readonly watch: CellWatch;
  readonly kernel: KernelQuestions;
  badges = new Map<string, Badge>();
  pipeline: PipelineView | null = null;
  status: KernelStatus | null = null;
  private plan: PlanView | null = null;
  private newest: NewestRun;
  private readonly emitter = new Signal<this, undefined>(this);
  private readonly analysing = new Debouncer(() => this.analyse(), SETTLE);
  private frame = 0;
  private disposed = false;

  constructor(
    readonly panel: NotebookPanel,
    private readonly nbpipe: INbpipe,
  ) {
    const { model } = panel.content;
    if (!model) {
      throw new Error('a notebook is followed once it has its model');
    }
    this.changed = this.emitter;
    this.watch = new CellWatch(model);
    this.kernel = new KernelQuestions(panel.sessionContext, {
      content: () => contentOf(model),
      seen: () => this.watch.seen,
      worth: () => this.watch.hasStages,
    });
    this.newest = this.follow();
    this.watch.changed.connect(this.redraw);
    this.kernel.answered.connect((_, { status, seen }) => {
      this.status = status;
      if (status) {
        this.watch.answered(seen);
      }
      this.redraw();
    });
    panel.context.saveState.connect(this.onSave);
    panel.context.pathChanged.connect(this.onMove);
    panel.disposed.connect(() => this.dispose());
    this.refresh();
    this.redraw();
  }

  get path(): string {
    return this.panel.context.path;
  }

  get progress(): Progress | null {
    return this.newest.current;
  }

  badge(cell: ICellModel | null | undefined): Badge | null {
    return cell ? (this.badges.get(cell.id) ?? null) : null;
  }

  /** Ask again for everything. */
  refresh(): void {
    void this.analysing.invoke();
    this.kernel.ask();
  }

  dispose(): void {
    if (this.disposed) {
      return;
    }
    this.disposed = true;
    cancelAnimationFrame(this.frame);
    this.watch.dispose();
    this.kernel.dispose();
    this.newest.dispose();
    this.analysing.dispose();
    this.panel.context.saveState.disconnect(this.onSave);
    this.panel.context.pathChanged.disconnect(this.onMove);
    Signal.clearData(this);
  }

  private readonly onSave = (_: unknown, state: string): void => {
    if (state === 'completed') {
      this.refresh();
    }
  };

  private readonly onMove = (): void => {
    this.newest.dispose();
    this.newest = this.follow();
    this.refresh();
  };

  private follow(): NewestRun {
    const newest = new NewestRun(this.nbpipe.backend(this.path));
    let running = false;
    newest.changed.connect((_, progress) => {
      const runs = progress?.row.status === 'running';
      if (running && !runs) {
        void this.analysing.invoke();
      }
      running = runs;
      this.redraw();
    });
    return newest;
  }

  /** The pipeline, for what a stage needs and gives; and what a run would do, where one was made before. */
  private async analyse(): Promise<void> {
    const { model } = this.panel.content;
    if (!model || !this.watch.hasStages) {
      this.pipeline = null;
      this.redraw();
      return;
    }
    const { seen } = this.watch;
    const about = { path: this.path, content: contentOf(model) };
    try {
      this.pipeline = await this.nbpipe.api.pipeline(about);
      if (this.newest.current && this.newest.current.row.status !== 'running') {
        this.plan = await this.nbpipe.api.plan(about);
        this.watch.answered(seen);
      }
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      // The panel says what the server has to say; badges show what is known without it.
    }
    this.redraw();
  }

  private readonly redraw = (): void => {
    if (this.frame || this.disposed) {
      return;
    }
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.badges = badges(this.watch.cells(), this.known());
      this.emitter.emit(undefined);
    });
  };

  private known(): Known {
    return {
      live: new Map(this.status?.stages.map((stage) => [stage.stage, stage])),
      rows: new Map(this.newest.current?.stages.map((row) => [row.name, row])),
      plan: new Map(this.plan?.stages.map((stage) => [stage.name, stage])),
      stages: new Map(this.pipeline?.stages.map((stage) => [stage.name, stage])),
    };
  }
}
