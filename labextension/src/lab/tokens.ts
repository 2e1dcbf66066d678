import type { TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type { RunEvent } from '../shared/api';
import type { Api } from './api';
import type { ServerBackend } from './backend';
import type { Exports } from './export/exports';
import type { Notebooks } from './notebooks';
import type { PipelineModel } from './pipelineModel';
import type { Runs } from './runs';

/** What the plugins of nbpipe share. */
export interface INbpipe {
  readonly api: Api;
  readonly trans: TranslationBundle;
  readonly notebooks: Notebooks;
  readonly runs: Runs;
  readonly exports: Exports;
  /** Where the shared views get the runs of a notebook's project; the same one for the same path. */
  backend(path: string): ServerBackend;
  /** The pipeline of a notebook: one for all that show it, and the only one that asks for it. */
  pipeline(path: string): PipelineModel;
  /** Contents path of the notebook that is, or was last, in front; '' before there was one. */
  readonly path: string;
  readonly pathChanged: ISignal<INbpipe, string>;
  /** Choose another notebook, open or not. */
  go(path: string): void;
  /** A run moved on, wherever it was started. Nothing but the polling is told where events are refused. */
  readonly changed: ISignal<INbpipe, RunEvent>;
}

export const INbpipe = new Token<INbpipe>(
  '@nbpipe/labextension:INbpipe',
  'The runs and pipelines of the notebooks that are open in this lab.',
);
