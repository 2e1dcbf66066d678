import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { cells } from './cells';
import { commands } from './commands';
import { manager } from './manager';
import { panel } from './panel';
import { statusItem } from './status';

/** Each can be switched off by its id. */
const plugins: JupyterFrontEndPlugin<unknown>[] = [manager, panel, cells, commands, statusItem];

export default plugins;
