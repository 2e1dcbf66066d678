import type { IStateDB } from '@jupyterlab/statedb';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { Kept } from '../../shared/store';

const KEY = '@nbpipe/labextension:panel';
/** Notebooks that are remembered, those looked at last. */
const MOST = 50;
/** Milliseconds: changes of one moment are one write. */
const PAUSE = 300;

/** What is remembered of a notebook. */
export type NotebookState = Partial<Pick<Kept, 'selected' | 'baseline' | 'pinned' | 'columns'>> & {
  opened?: string;
};

/** What is remembered of the panel. */
interface PanelMemory {
  open: boolean[];
  sizes: number[];
  tab: string;
  notebooks: Record<string, NotebookState>;
}

/** What the panel remembers over reloads, in the lab's own database of states. */
export class Keeping {
  private memory: PanelMemory = { open: [], sizes: [], tab: '', notebooks: {} };
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Resolves once what was kept is at hand. */
  readonly ready: Promise<void>;

  constructor(private readonly db: IStateDB | null) {
    this.ready = this.read();
  }

  get layout(): Pick<PanelMemory, 'open' | 'sizes'> {
    return this.memory;
  }

  get tab(): string {
    return this.memory.tab;
  }

  of(path: string): NotebookState {
    return this.memory.notebooks[path] ?? {};
  }

  keep(change: Partial<Omit<PanelMemory, 'notebooks'>>): void {
    this.memory = { ...this.memory, ...change };
    this.write();
  }

  keepOf(path: string, change: NotebookState): void {
    const { [path]: before, ...others } = this.memory.notebooks;
    const kept = Object.entries(others).slice(-MOST + 1);
    this.memory = {
      ...this.memory,
      notebooks: { ...Object.fromEntries(kept), [path]: { ...before, ...change } },
    };
    this.write();
  }

  /** A notebook, or a folder with notebooks, has another name now: what is remembered goes with it. */
  rename(from: string, to: string): void {
    const entries = Object.entries(this.memory.notebooks).map(([path, state]) => {
      const inside = path === from || path.startsWith(`${from}/`);
      return [inside ? to + path.slice(from.length) : path, state] as const;
    });
    this.memory = { ...this.memory, notebooks: Object.fromEntries(entries) };
    this.write();
  }

  private async read(): Promise<void> {
    const found = (await this.db?.fetch(KEY)) as Partial<PanelMemory> | undefined;
    this.memory = { ...this.memory, ...found };
  }

  private write(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      void this.db?.save(KEY, this.memory as unknown as ReadonlyPartialJSONObject);
    }, PAUSE);
  }
}
