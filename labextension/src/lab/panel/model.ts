import { HistoryStore } from '../../shared/store';
import type { INbpipe } from '../tokens';

/** What the panel shows at the moment. Values are replaced, never changed, so that views can tell. */
export interface PanelState {
  readonly path: string;
  readonly store: HistoryStore | null;
}

/** The state of the panel: the notebook it is about, and the store of its runs. */
export class PanelModel {
  private state: PanelState = { path: '', store: null };
  private readonly listeners = new Set<() => void>();

  constructor(readonly nbpipe: INbpipe) {
    nbpipe.pathChanged.connect((_, path) => this.show(path));
    this.show(nbpipe.path);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get = (): PanelState => this.state;

  show(path: string): void {
    if (path === this.state.path) {
      return;
    }
    this.state.store?.dispose();
    const store = path ? new HistoryStore(this.nbpipe.backend(path)) : null;
    this.set({ path, store });
  }

  private set(change: Partial<PanelState>): void {
    this.state = { ...this.state, ...change };
    this.listeners.forEach((listener) => listener());
  }
}
