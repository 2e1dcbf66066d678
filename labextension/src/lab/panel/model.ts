import { problemText } from '../../shared/backend';
import { HistoryStore } from '../../shared/store';
import { Missing } from '../api';
import { UNKNOWN, type PipelineModel, type PipelineState } from '../pipelineModel';
import type { Part } from '../runs';
import type { INbpipe } from '../tokens';
import type { Keeping } from './keeping';

/** The answers that this front-end understands. */
const SCHEMA = 1;

/** What the panel shows at the moment. Values are replaced, never changed, so that views can tell. */
export interface PanelState extends PipelineState {
  readonly path: string;
  readonly store: HistoryStore | undefined;
  /** The run whose details are shown. */
  readonly opened: string;
  /** The stage that was asked for last; another object each time. */
  readonly revealed: { readonly stage: string } | undefined;
  /** Why there is no server to talk to. */
  readonly absent: string;
  /** Notebooks that can be chosen. */
  readonly notebooks: readonly string[];
}

/**
 * The state of the panel.
 *
 * Responsibilities: follows the notebook in front while somebody looks at the panel; knows which run is opened; remembers
 * both. It must not draw, and asks nothing while the panel is hidden.
 */
export class PanelModel {
  private state: PanelState;
  private readonly listeners = new Set<() => void>();
  private flow: PipelineModel | undefined;
  private leave: (() => void)[] = [];
  private visible = false;
  private checked = false;

  constructor(
    readonly nbpipe: INbpipe,
    readonly keeping: Keeping,
  ) {
    this.state = {
      ...UNKNOWN,
      path: '',
      store: undefined,
      opened: '',
      revealed: undefined,
      absent: '',
      notebooks: [],
    };
    nbpipe.pathChanged.connect(() => void this.follow());
    nbpipe.notebooks.moved.connect(() => this.count());
    nbpipe.runs.started.connect((_, { path, run }) => {
      if (path === this.state.path) {
        this.open(run);
      }
    });
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get = (): PanelState => this.state;

  /** The panel came into sight, or went out of it. */
  look(visible: boolean): void {
    if (visible !== this.visible) {
      this.visible = visible;
      this.watch();
    }
    if (visible) {
      void this.follow();
    }
  }

  /** Ask for everything again. */
  async refresh(): Promise<void> {
    this.checked = false;
    await this.follow();
    this.state.store?.refresh();
    await this.flow?.refresh();
  }

  open(run: string): void {
    this.keeping.keepOf(this.state.path, { opened: run });
    this.set({ opened: run });
  }

  /** This run is no more. */
  forget(run: string): void {
    const { store, opened } = this.state;
    if (store) {
      const { selected, pinned, baseline } = store.get();
      store.adopt({
        selected: selected.filter((other) => other !== run),
        pinned: pinned.filter((other) => other !== run),
        baseline: baseline === run ? '' : baseline,
      });
      store.refresh();
    }
    if (opened === run) {
      this.open('');
    }
  }

  jump(stage: string): void {
    this.flow?.jump(stage);
  }

  /** Show how a stage stands: in the graph, and in the newest run where none is opened. */
  reveal(stage: string): void {
    this.flow?.select(stage);
    const { opened, latest } = this.state;
    if (!opened && latest) {
      this.open(latest.row.run);
    }
    this.keeping.keep({ tab: 'stages' });
    this.set({ revealed: { stage } });
  }

  /** Start a run of this notebook. */
  async start(question: Part): Promise<void> {
    const { path } = this.state;
    const context = this.nbpipe.notebooks.find(path)?.context ?? null;
    await this.nbpipe.runs.start(path, question, context);
  }

  /** Show the notebook in front. */
  async follow(): Promise<void> {
    await this.keeping.ready;
    if (!this.visible || !(await this.handshake()) || this.nbpipe.path === this.state.path) {
      return;
    }
    const { path } = this.nbpipe;
    this.state.store?.dispose();
    if (!path) {
      this.flow = undefined;
      this.watch();
      this.set({ ...UNKNOWN, path, store: undefined, opened: '' });
      return;
    }
    const { opened = '', ...kept } = this.keeping.of(path);
    const store = new HistoryStore(
      this.nbpipe.backend(path),
      kept,
      undefined,
      ({ selected, baseline, pinned, columns }) =>
        this.keeping.keepOf(path, { selected, baseline, pinned, columns }),
      this.nbpipe.trans,
    );
    this.flow = this.nbpipe.pipeline(path);
    this.set({ ...this.flow.get(), path, store, opened });
    this.count();
    this.watch();
  }

  /** Is the server extension there, and does it speak as this front-end does? */
  private async handshake(): Promise<boolean> {
    if (this.checked) {
      return true;
    }
    const { trans, api } = this.nbpipe;
    let absent = '';
    try {
      const { schema, version } = await api.info();
      if (schema !== SCHEMA) {
        absent = trans.__(
          'The server has nbpipe %1, this page another version. Restart the server and reload the page.',
          version,
        );
      }
    } catch (error) {
      absent =
        error instanceof Missing
          ? trans.__(
              'The server has no nbpipe: install it there (pip install nbpipe), restart the server, reload this page.',
            )
          : problemText(error);
    }
    this.checked = absent === '';
    this.set({ absent });
    return this.checked;
  }

  /** Look at the pipeline of the notebook that is shown, while the panel is. */
  private watch(): void {
    this.leave.forEach((leave) => leave());
    const { flow } = this;
    if (flow && this.visible) {
      const show = (): void => this.set(flow.get());
      this.leave = [flow.subscribe(show), flow.look()];
      show();
    } else {
      this.leave = [];
    }
  }

  private count(): void {
    const { path } = this.state;
    const open = this.nbpipe.notebooks.paths();
    const notebooks = path && !open.includes(path) ? [path, ...open] : open;
    if (notebooks.join('\n') !== this.state.notebooks.join('\n')) {
      this.set({ notebooks });
    }
  }

  private set(change: Partial<PanelState>): void {
    this.state = { ...this.state, ...change };
    this.listeners.forEach((listener) => listener());
  }
}
