import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { manager } from './manager';
import { panel } from './panel';

/** Each can be switched off by its id. */
const plugins: JupyterFrontEndPlugin<unknown>[] = [manager, panel];

export default plugins;
