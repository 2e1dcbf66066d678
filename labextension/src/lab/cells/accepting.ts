import type { ICellModel } from '@jupyterlab/cells';
import type { INotebookModel } from '@jupyterlab/notebook';

import { proposedLine, type Proposed } from './proposal';
import { isStage } from './state';
import { lineAt, putBack, standingOf, tagCell, type Standing } from './tagging';
import { lineOf, readTag, type TagStyle } from './tags';
import { textOfCell } from './watch';

/** What was accepted for a cell, and what it was before. */
export interface Written {
  readonly line: string;
  readonly before: Standing;
}

/**
 * Write what was proposed: one change of the document, and one step for the notebook's own undo. What was written, by cell.
 * Throws a `GrammarError` before anything is.
 */
export function acceptTags(
  model: INotebookModel,
  proposed: readonly Proposed[],
  style: TagStyle,
): Map<string, Written> {
  proposed.forEach(proposedLine);
  const wanted = new Map(proposed.map((cell) => [cell.id, cell]));
  const written = new Map<string, Written>();
  asOneStep(model, () => {
    for (const cell of model.cells) {
      const found = wanted.get(cell.id);
      const now = readTag(textOfCell(cell));
      // Nothing is proposed where there are stages: one that stands here was written since, by hand.
      if (found && !(now && isStage(now))) {
        const before = standingOf(cell);
        tagCell(cell, found, style);
        written.set(cell.id, { line: lineAt(cell) || metadataLine(cell), before });
      }
    }
  });
  return written;
}

/** Make cells what they were, where what was written still stands. */
export function takeBack(model: INotebookModel, written: ReadonlyMap<string, Written>): void {
  asOneStep(model, () => {
    for (const cell of model.cells) {
      const found = written.get(cell.id);
      if (found && (lineAt(cell) || metadataLine(cell)) === found.line) {
        putBack(cell, found.before);
      }
    }
  });
}

/** Keys that a proposal has for the notebook's `metadata.nbpipe`; what else is there stays. Gives back those that were new. */
export function mergeMetadata(model: INotebookModel, keys: Readonly<Record<string, unknown>>): string[] {
  const before = objectOf(model.getMetadata('nbpipe'));
  const added = Object.keys(keys).filter((key) => !(key in before));
  if (Object.keys(keys).some((key) => JSON.stringify(before[key]) !== JSON.stringify(keys[key]))) {
    model.setMetadata('nbpipe', { ...before, ...keys });
  }
  return added;
}

/** Take keys out of the notebook's `metadata.nbpipe` again. */
export function dropMetadata(model: INotebookModel, keys: readonly string[]): void {
  const kept = Object.entries(objectOf(model.getMetadata('nbpipe'))).filter(([key]) => !keys.includes(key));
  if (kept.length) {
    model.setMetadata('nbpipe', Object.fromEntries(kept));
  } else {
    model.deleteMetadata('nbpipe');
  }
}

/** What the metadata of a cell say, as a line; "" where they are no tag, or one that is not understood. */
function metadataLine(cell: ICellModel): string {
  const tag = readTag(textOfCell(cell));
  return tag?.from === 'metadata' && tag.role !== 'skip' && !tag.error
    ? lineOf(tag.role, tag.name, tag.options)
    : '';
}

function asOneStep(model: INotebookModel, change: () => void): void {
  const { sharedModel } = model;
  // Neither what was done just before nor what is done right after belongs to it.
  const history = (sharedModel as { undoManager?: { stopCapturing: () => void } }).undoManager;
  history?.stopCapturing();
  sharedModel.transact(change);
  history?.stopCapturing();
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}
