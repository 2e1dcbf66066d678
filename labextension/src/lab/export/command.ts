import type { JupyterFrontEnd } from '@jupyterlab/application';
import { launchIcon } from '@jupyterlab/ui-components';

import { menuIcon, takes, type Target } from '../commands/target';
import { CommandIDs } from '../ids';
import { showMenu, showMenuBelow } from '../menu';
import type { INbpipe } from '../tokens';

/** `Export ▾` of the notebook's toolbar, the menu and the palette. */
export function addExportCommand(app: JupyterFrontEnd, nbpipe: INbpipe, target: Target): void {
  const { trans, exports } = nbpipe;
  app.commands.addCommand(CommandIDs.export, {
    label: (args) => (args.toolbar ? trans.__('Export ▾') : trans.__('Export Pipeline…')),
    caption: trans.__('Write this pipeline for a scheduler'),
    icon: (args) => (args.toolbar ? undefined : menuIcon(launchIcon)),
    describedBy: takes({
      path: trans.__('The notebook.'),
      to: trans.__('The exporter; asked for where it is not given.'),
    }),
    isEnabled: (args) => target.path(args) !== '',
    execute: async (args) => {
      const path = target.path(args);
      if (typeof args.to === 'string') {
        const exporter = await exports.named(args.to);
        return exporter ? exports.start(path, exporter) : undefined;
      }
      const entries = exports.entries(path);
      const button = target.panel(args)?.toolbar.node.querySelector('[data-command="nbpipe:export"]');
      if (button?.checkVisibility()) {
        showMenuBelow(entries, button);
      } else {
        showMenu(entries, { x: window.innerWidth / 3, y: window.innerHeight / 4 });
      }
      return undefined;
    },
  });
}
