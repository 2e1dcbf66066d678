import { YNotebook, type ISharedCell } from '@jupyter/ydoc';
import type { ICellModel } from '@jupyterlab/cells';
import type { INotebookModel } from '@jupyterlab/notebook';
import { Signal } from '@lumino/signaling';

/** What of JupyterLab's models is used, over its own shared document: sources and metadata change as they do in the lab. */
export function notebook(...sources: string[]): {
  model: INotebookModel;
  shared: YNotebook;
  texts: () => string[];
} {
  // As the lab makes it: each editor has an undo of its own, and the notebook one for what is done to cells.
  const shared = YNotebook.create({ disableDocumentWideUndoRedo: true });
  sources.forEach((source, n) => shared.insertCell(n, { cell_type: 'code', id: `c${n}`, source }));
  shared.clearUndoHistory();
  const models = new Map<ISharedCell, ICellModel>();
  const modelOf = (cell: ISharedCell): ICellModel => {
    const known = models.get(cell) ?? cellModel(cell);
    models.set(cell, known);
    return known;
  };
  const changed = new Signal<object, undefined>({});
  shared.changed.connect((_, change) => {
    if (change.cellsChange) {
      changed.emit(undefined);
    }
  });
  const cells = {
    changed,
    [Symbol.iterator]: () => shared.cells.map(modelOf)[Symbol.iterator](),
  };
  const model = {
    cells,
    sharedModel: shared,
    getMetadata: (key: string) => shared.getMetadata(key) as unknown,
    setMetadata: (key: string, value: never) => shared.setMetadata(key, value),
    deleteMetadata: (key: string) => shared.deleteMetadata(key),
  };
  return {
    model: model as unknown as INotebookModel,
    shared,
    texts: () => shared.cells.map((cell) => cell.getSource()),
  };
}

function cellModel(cell: ISharedCell): ICellModel {
  const model = {
    id: cell.getId(),
    type: cell.cell_type,
    sharedModel: cell,
    metadataChanged: cell.metadataChanged,
    getMetadata: (key: string) => cell.getMetadata(key) as unknown,
    setMetadata: (key: string, value: never) => cell.setMetadata(key, value),
    deleteMetadata: (key: string) => cell.deleteMetadata(key),
  };
  return model as unknown as ICellModel;
}
