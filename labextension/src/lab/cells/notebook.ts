import type { ICellModel } from '@jupyterlab/cells';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { Signal, type ISignal } from '@lumino/signaling';

import type { KernelStatus } from '../../shared/api';
import type { Progress } from '../../shared/types';
import { contentOf } from '../content';
import type { PipelineModel } from '../pipelineModel';
import type { INbpipe } from '../tokens';
import { lookWhileVisible } from '../visible';
import { KernelQuestions } from './kernel';
import { badges, type Badge, type Known } from './state';
import { CellWatch } from './watch';

/**
 * What is known of one notebook: its cells, its kernel, its newest run, its pipeline, together as badges.
 *
 * Responsibilities: asks the kernel after executions and saves, follows the pipeline while the notebook is in sight;
 * `changed` tells, at most once a frame. It must not draw, and must not write into the document.
 */
export class NotebookState {
  readonly changed: ISignal<this, undefined>;
  readonly watch: CellWatch;
  readonly kernel: KernelQuestions;
  badges = new Map<string, Badge>();
  status: KernelStatus | null = null;
  private pipelines: PipelineModel;
  private unfollow: () => void = () => undefined;
  private leave: (() => void) | undefined;
  private lookers = 0;
  /** What was seen of the notebook when the server was asked last. */
  private asked = 0;
  private readonly emitter = new Signal<this, undefined>(this);
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
    this.pipelines = nbpipe.pipeline(this.path);
    this.follow();
    this.watch.changed.connect(this.watching);
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
    const sight = lookWhileVisible(panel, this);
    panel.disposed.connect(() => {
      this.dispose();
      sight.dispose();
    });
    this.kernel.ask();
    this.redraw();
  }

  get path(): string {
    return this.panel.context.path;
  }

  get progress(): Progress | null {
    return this.pipelines.get().latest ?? null;
  }

  badge(cell: ICellModel | null | undefined): Badge | null {
    return cell ? (this.badges.get(cell.id) ?? null) : null;
  }

  /** Somebody looks at how the notebook stands, until the returned function is called. */
  look(): () => void {
    this.lookers += 1;
    this.watching();
    return () => {
      this.lookers -= 1;
      this.watching();
    };
  }

  /** Ask again for everything. */
  refresh(): void {
    void this.pipelines.refresh();
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
    this.unfollow();
    this.panel.context.saveState.disconnect(this.onSave);
    this.panel.context.pathChanged.disconnect(this.onMove);
    Signal.clearData(this);
  }

  private readonly onSave = (_: unknown, state: string): void => {
    if (state === 'completed') {
      this.kernel.ask();
    }
  };

  private readonly onMove = (): void => {
    this.unfollow();
    this.pipelines = this.nbpipe.pipeline(this.path);
    this.follow();
    this.watching();
    this.redraw();
  };

  private follow(): void {
    const { pipelines } = this;
    let { plan } = pipelines.get();
    const asking = (): void => {
      this.asked = this.watch.seen;
    };
    const told = pipelines.subscribe(() => {
      const state = pipelines.get();
      // A kernel in which nbpipe is loaded says itself what an edit makes stale.
      if (state.plan && state.plan !== plan && !this.status) {
        this.watch.answered(this.asked);
      }
      ({ plan } = state);
      this.redraw();
    });
    pipelines.asking.connect(asking);
    this.unfollow = () => {
      told();
      pipelines.asking.disconnect(asking);
      this.leave?.();
      this.leave = undefined;
    };
  }

  /** A notebook without stages, or out of sight, shows nothing that would have to be asked for. */
  private readonly watching = (): void => {
    const looks = this.lookers > 0 && this.watch.hasStages;
    if (looks) {
      this.leave ??= this.pipelines.look();
    } else {
      this.leave?.();
      this.leave = undefined;
    }
  };

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
    const { pipeline, plan, latest } = this.pipelines.get();
    // What was to be done before a run says nothing while it goes on.
    const due = latest?.row.status === 'running' ? undefined : plan;
    const byName = <T extends { name: string }>(stages: readonly T[] = []): Map<string, T> =>
      new Map(stages.map((stage) => [stage.name, stage]));
    return {
      live: new Map(this.status?.stages.map((stage) => [stage.stage, stage])),
      rows: byName(latest?.stages),
      plan: byName(due?.stages),
      stages: byName(this.watch.hasStages ? pipeline?.stages : []),
    };
  }
}
