import type { ICodeCellModel } from '@jupyterlab/cells';
import type { INotebookModel } from '@jupyterlab/notebook';

import type { NotebookContent } from '../shared/api';

/**
 * The notebook as it stands in the editor, of what makes its pipeline: what the server and the kernel are asked about. Outputs
 * and numbers of executions are left out, so that running cells changes nothing here; `counted` keeps the numbers.
 */
export function contentOf(model: INotebookModel, counted = false): NotebookContent {
  const { kernelspec, language_info, nbpipe } = model.metadata as Record<string, unknown>;
  const cells = [...model.cells].map((cell) => {
    const metadata = known({ tags: cell.getMetadata('tags'), nbpipe: cell.getMetadata('nbpipe') });
    const base = { id: cell.id, cell_type: cell.type, source: cell.sharedModel.getSource(), metadata };
    if (cell.type !== 'code') {
      return base;
    }
    const { executionCount } = cell as ICodeCellModel;
    return { ...base, outputs: [], execution_count: counted ? (executionCount ?? null) : null };
  });
  return { nbformat: 4, nbformat_minor: 5, metadata: known({ kernelspec, language_info, nbpipe }), cells };
}

function known(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
