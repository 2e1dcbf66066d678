import type { INotebookModel } from '@jupyterlab/notebook';

import type { NotebookContent } from '../../shared/api';

/** The notebook as it stands in the editor, without outputs: what the server and the kernel are asked about. */
export function contentOf(model: INotebookModel): NotebookContent {
  const { kernelspec, language_info } = model.metadata;
  const cells = [...model.cells].map((cell) => {
    const tags = cell.getMetadata('tags') as unknown;
    const nbpipe = cell.getMetadata('nbpipe') as unknown;
    const metadata = { ...(tags === undefined ? {} : { tags }), ...(nbpipe === undefined ? {} : { nbpipe }) };
    const base = { id: cell.id, cell_type: cell.type, source: cell.sharedModel.getSource(), metadata };
    return cell.type === 'code' ? { ...base, outputs: [], execution_count: null } : base;
  });
  const metadata = { ...(kernelspec ? { kernelspec } : {}), ...(language_info ? { language_info } : {}) };
  return { nbformat: 4, nbformat_minor: 5, metadata, cells };
}
