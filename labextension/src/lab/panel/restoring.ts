import type { NotebookPanel } from '@jupyterlab/notebook';

import type { PipelineView } from '../../shared/api';
import { withValues, type Exact } from './literals';

/** Values as the notebook's own: in the source of its `%%params` cell, as one change that can be undone. */
export function restoreParams(
  panel: NotebookPanel | undefined,
  pipeline: PipelineView | undefined,
  values: Readonly<Record<string, Exact>>,
): { set: string[]; left: string[] } {
  const names = (pipeline?.params ?? []).map(({ name }) => name).filter((name) => name in values);
  const cell = panel?.content.model?.sharedModel.cells.find((one) =>
    /^\s*%%params[ \t]*(#.*)?(\n|$)/.test(one.getSource()),
  );
  if (!cell) {
    return { set: [], left: names };
  }
  const floats = new Set(pipeline?.params.filter(({ type }) => type === 'float').map(({ name }) => name));
  const { source, set } = withValues(cell.getSource(), values, floats);
  if (source !== cell.getSource()) {
    cell.transact(() => cell.setSource(source));
  }
  return { set, left: names.filter((name) => !set.includes(name)) };
}
