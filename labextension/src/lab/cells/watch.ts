import type { ICellModel } from '@jupyterlab/cells';
import type { INotebookModel } from '@jupyterlab/notebook';
import { Signal, type ISignal } from '@lumino/signaling';

import type { CellState } from './state';
import { firstLine, readTag, type CellText, type Tag } from './tags';

interface Watched {
  tag: Tag | null;
  labelled: boolean;
  /** Where its first line ends: an edit below it is looked at no further. */
  end: number;
  /** Number of the edit that was the last here; 0 for none since the last answer. */
  edited: number;
}

export function textOfCell(cell: ICellModel): CellText {
  const tags = cell.getMetadata('tags') as unknown;
  return {
    source: cell.sharedModel.getSource(),
    tags: Array.isArray(tags) ? tags.filter((tag): tag is string => typeof tag === 'string') : [],
    meta: cell.getMetadata('nbpipe') as unknown,
  };
}

/**
 * What the cells of one notebook are, kept up to date.
 *
 * Responsibilities: a keystroke costs a comparison of two numbers, and more only on a cell's first line. It must not write.
 */
export class CellWatch {
  readonly changed: ISignal<this, undefined>;
  private readonly emitter = new Signal<this, undefined>(this);
  private readonly watched = new Map<ICellModel, Watched>();
  private readonly stops = new Map<ICellModel, () => void>();
  private edits = 0;

  constructor(private readonly model: INotebookModel) {
    this.changed = this.emitter;
    model.cells.changed.connect(this.sync);
    this.sync();
  }

  /** Every code cell, in notebook order. */
  cells(): CellState[] {
    const found: CellState[] = [];
    for (const cell of this.model.cells) {
      const watched = this.watched.get(cell);
      if (watched) {
        found.push({ id: cell.id, tag: watched.tag, labelled: watched.labelled, edited: watched.edited > 0 });
      }
    }
    return found;
  }

  tag(cell: ICellModel): Tag | null {
    return this.watched.get(cell)?.tag ?? null;
  }

  /** Perhaps: what other tags than ours say, only the server knows. */
  get hasStages(): boolean {
    return [...this.watched.values()].some(({ tag, labelled }) => tag !== null || labelled);
  }

  /** To be handed to `answered` with an answer about the notebook as it is now. */
  get seen(): number {
    return this.edits;
  }

  /** What was edited before `seen` was taken into account. */
  answered(seen: number): void {
    for (const watched of this.watched.values()) {
      if (watched.edited <= seen) {
        watched.edited = 0;
      }
    }
  }

  dispose(): void {
    this.model.cells.changed.disconnect(this.sync);
    this.stops.forEach((stop) => stop());
    this.stops.clear();
    this.watched.clear();
    Signal.clearData(this);
  }

  private readonly sync = (): void => {
    const now = new Set<ICellModel>();
    for (const cell of this.model.cells) {
      if (cell.type === 'code') {
        now.add(cell);
        if (!this.watched.has(cell)) {
          this.follow(cell);
        }
      }
    }
    for (const cell of [...this.watched.keys()].filter((known) => !now.has(known))) {
      this.stops.get(cell)?.();
      this.stops.delete(cell);
      this.watched.delete(cell);
    }
    this.emitter.emit(undefined);
  };

  private follow(cell: ICellModel): void {
    const watched: Watched = { tag: null, labelled: false, end: 0, edited: 0 };
    this.read(cell, watched);
    this.watched.set(cell, watched);
    const shared = cell.sharedModel;
    const onText = (_: unknown, change: { sourceChange?: { retain?: number }[] }): void => {
      if (!change.sourceChange) {
        return;
      }
      this.edits += 1;
      const first = watched.edited === 0;
      watched.edited = this.edits;
      const inHead = (change.sourceChange[0]?.retain ?? 0) <= watched.end;
      const renamed = inHead && this.read(cell, watched);
      if (renamed || (first && watched.tag)) {
        this.emitter.emit(undefined);
      }
    };
    const onMetadata = (): void => {
      if (this.read(cell, watched)) {
        this.emitter.emit(undefined);
      }
    };
    shared.changed.connect(onText);
    cell.metadataChanged.connect(onMetadata);
    this.stops.set(cell, () => {
      shared.changed.disconnect(onText);
      cell.metadataChanged.disconnect(onMetadata);
    });
  }

  /** Whether the tag is another one now. */
  private read(cell: ICellModel, watched: Watched): boolean {
    const text = textOfCell(cell);
    const before = JSON.stringify([watched.tag, watched.labelled]);
    watched.end = firstLine(text.source).end;
    watched.tag = readTag(text);
    watched.labelled = text.tags.length > 0;
    return JSON.stringify([watched.tag, watched.labelled]) !== before;
  }
}
