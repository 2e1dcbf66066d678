import type { NotebookPanel } from '@jupyterlab/notebook';
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type { Checker } from './check';
import type { NotebookState } from './notebook';
import type { CellsSettings } from './settings';
import type { Suggesting } from './suggest';

/** What nbpipe has of one open notebook. */
export interface NotebookParts {
  readonly state: NotebookState;
  readonly checker: Checker;
  readonly suggesting: Suggesting;
}

/** The open notebooks, as the cells plugin follows them. */
export interface INbpipeCells {
  readonly settings: CellsSettings;
  /** A notebook is followed from now on. */
  readonly added: ISignal<INbpipeCells, NotebookParts>;
  /** null for a notebook that is not followed yet, or no more. */
  of(panel: NotebookPanel | null): NotebookParts | null;
}

export const INbpipeCells = new Token<INbpipeCells>(
  '@nbpipe/labextension:INbpipeCells',
  'What the cells of the open notebooks are in their pipelines, and how they stand.',
);
