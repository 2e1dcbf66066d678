import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { cells } from './cells';
import { commands } from './commands';
import { manager } from './manager';
import { panel } from './panel';
import { statusItem } from './status';
import { views } from './views';

/** Each can be switched off by its id. */
const plugins: JupyterFrontEndPlugin<unknown>[] = [manager, panel, cells, commands, views, statusItem];

export default plugins;
