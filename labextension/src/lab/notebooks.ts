import { PathExt } from '@jupyterlab/coreutils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { Signal, type ISignal } from '@lumino/signaling';

import type { NotebookContent } from '../shared/api';
import { contentOf } from './content';

/** Milliseconds without a change before one is told: nothing is worked out while somebody types. */
const PAUSE = 1000;
/** The same after a save, which is meant to be looked at. */
const SAVED = 200;

/**
 * The notebooks that are open.
 *
 * Responsibilities: says what stands in them, unsaved edits included; tells of edits once they pause; shows a cell. It must
 * not change a notebook, but for saving it.
 */
export class Notebooks {
  /** The notebook at this path was edited, or saved. */
  readonly edited: ISignal<Notebooks, string>;
  /** The notebook at this path was saved. */
  readonly saved: ISignal<Notebooks, string>;
  /** Which are open changed, or which cell is selected. */
  readonly moved: ISignal<Notebooks, undefined>;
  private readonly wasEdited = new Signal<Notebooks, string>(this);
  private readonly wasSaved = new Signal<Notebooks, string>(this);
  private readonly hasMoved = new Signal<Notebooks, undefined>(this);
  private readonly timers = new Map<NotebookPanel, ReturnType<typeof setTimeout>>();

  constructor(
    private readonly tracker: INotebookTracker | null,
    private readonly documents: IDocumentManager | null,
  ) {
    this.edited = this.wasEdited;
    this.saved = this.wasSaved;
    this.moved = this.hasMoved;
    tracker?.widgetAdded.connect((_, panel) => this.follow(panel));
    tracker?.forEach((panel) => this.follow(panel));
    tracker?.activeCellChanged.connect(() => this.hasMoved.emit(undefined));
  }

  /** Contents paths of the open notebooks. */
  paths(): string[] {
    const paths: string[] = [];
    this.tracker?.forEach((panel) => paths.push(panel.context.path));
    return [...new Set(paths)].sort();
  }

  find(path: string): NotebookPanel | undefined {
    return this.tracker?.find((panel) => panel.context.path === path);
  }

  /** The notebook as it stands in the editor; undefined where it is not open, or not read yet. */
  content(path: string): NotebookContent | undefined {
    const panel = this.find(path);
    const model = panel?.content.model;
    // Until it is read it has no cells, and would pass for a notebook without stages.
    if (!model || !panel.context.isReady) {
      return undefined;
    }
    return contentOf(model);
  }

  /** Id of the selected cell, where this notebook is open. */
  selectedCell(path: string): string {
    return this.find(path)?.content.activeCell?.model.id ?? '';
  }

  /** Give this notebook the focus, where it is open. */
  activate(path: string): void {
    const panel = this.find(path);
    if (panel?.isVisible) {
      panel.activate();
    } else if (panel) {
      this.documents?.openOrReveal(path)?.activate();
    }
  }

  /** After a dialog that gave the focus back to a menu that is gone: to the notebook. */
  activateIfLost(path: string): void {
    if (document.activeElement === document.body) {
      this.activate(path);
    }
  }

  /** Make a cell the selected one, where this notebook is open; nothing else moves. Whether it could be. */
  select(path: string, id: string): boolean {
    const content = this.find(path)?.content;
    const index = content?.widgets.findIndex((widget) => widget.model.id === id) ?? -1;
    if (content && index >= 0) {
      content.activeCellIndex = index;
      content.deselectAll();
    }
    return index >= 0;
  }

  /** Bring a cell into sight; the notebook is opened first if it has to be. `cell` counts from 1. */
  async jump(path: string, id: string, cell: number | undefined): Promise<void> {
    const panel = (this.find(path) ?? this.documents?.openOrReveal(path)) as NotebookPanel | undefined;
    if (!panel) {
      return;
    }
    this.documents?.openOrReveal(path);
    await panel.context.ready;
    await panel.revealed;
    const { content } = panel;
    const named = id ? content.widgets.findIndex((widget) => widget.model.id === id) : -1;
    const index = named >= 0 ? named : (cell ?? 0) - 1;
    const widget = content.widgets[index];
    if (widget) {
      content.activeCellIndex = index;
      content.deselectAll();
      await content.scrollToItem(index, 'smart');
      const { classList } = widget.node;
      classList.add('nbp-jumped');
      widget.node.addEventListener('animationend', () => classList.remove('nbp-jumped'), { once: true });
      content.mode = 'command';
      content.activate();
    }
  }

  /** Runs and diffs read the file: what is not saved yet is. */
  async save(path: string): Promise<void> {
    const context = this.find(path)?.context;
    if (context?.model.dirty) {
      await context.save();
    }
  }

  private follow(panel: NotebookPanel): void {
    this.hasMoved.emit(undefined);
    const { context } = panel;
    const later = (pause = PAUSE) => {
      clearTimeout(this.timers.get(panel));
      this.timers.set(
        panel,
        setTimeout(() => {
          this.timers.delete(panel);
          this.wasEdited.emit(context.path);
        }, pause),
      );
    };
    // Sources and cells only: outputs that stream in are no edits, and there may be thousands of them.
    void context.ready.then(() => {
      const shared = panel.content.model?.sharedModel;
      shared?.changed.connect((_, change) => {
        if (change.cellsChange ?? change.metadataChange) {
          later();
        }
      });
      const cells = panel.content.model?.cells;
      const watch = () => {
        for (const cell of cells ?? []) {
          cell.sharedModel.changed.disconnect(sourceOnly);
          cell.sharedModel.changed.connect(sourceOnly);
        }
      };
      const sourceOnly = (_: unknown, change: { sourceChange?: unknown; metadataChange?: unknown }) => {
        if (change.sourceChange ?? change.metadataChange) {
          later();
        }
      };
      watch();
      cells?.changed.connect(watch);
    });
    context.saveState.connect((_, state) => {
      if (state === 'completed') {
        this.wasSaved.emit(context.path);
        later(SAVED);
      }
    });
    // A shared document is saved by its server, which says so by its state alone.
    context.model.stateChanged.connect((model, { name, newValue }) => {
      if (name === 'dirty' && newValue === false && model.collaborative) {
        this.wasSaved.emit(context.path);
      }
    });
    panel.disposed.connect(() => {
      clearTimeout(this.timers.get(panel));
      this.timers.delete(panel);
      this.hasMoved.emit(undefined);
    });
  }
}

/** `digits.ipynb` of `work/digits.ipynb`. */
export const baseName = (path: string): string => PathExt.basename(path);
