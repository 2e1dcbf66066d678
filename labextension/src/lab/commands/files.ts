import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { launchIcon } from '@jupyterlab/ui-components';

import { nbpipeIcon } from '../icons';
import { showMenu, showMenuBelow } from '../menu';
import { CommandIDs } from '../ids';
import type { Runs } from '../runs';
import type { INbpipe } from '../tokens';
import { menuIcon, takes, type Args, type Target } from './target';

const FIRST = [
  ['%load_ext nbpipe'],
  ['%%params', 'n: int = 100     # how many numbers'],
  ['%%stage load', 'numbers = list(range(n))'],
  ['%%stage train', 'mean = sum(numbers) / len(numbers)', 'print(mean)'],
  ['%%check good_enough', 'assert mean > 0'],
];

/** Commands of the file browser and the launcher. */
export function addFileCommands(
  app: JupyterFrontEnd,
  nbpipe: INbpipe,
  target: Target,
  runs: Runs,
  browsers: IFileBrowserFactory | null,
): void {
  const { trans } = nbpipe;
  const { commands } = app;
  const picked = (args: Args): string => {
    const [item] = browsers?.tracker.currentWidget?.selectedItems() ?? [];
    return typeof args.path === 'string' ? args.path : item?.type === 'notebook' ? item.path : '';
  };
  const ofFile = takes({
    path: trans.__('The notebook; the one selected in the file browser where it is not given.'),
  });

  commands.addCommand(CommandIDs.runFile, {
    label: trans.__('Run as Pipeline'),
    caption: trans.__('Run the pipeline of this notebook'),
    icon: menuIcon(nbpipeIcon),
    describedBy: ofFile,
    isEnabled: (args) => picked(args) !== '',
    execute: (args) => {
      const path = picked(args);
      return path ? runs.start(path, {}, target.panel({ path })?.context ?? null) : null;
    },
  });
  commands.addCommand(CommandIDs.showRuns, {
    label: trans.__('Show Runs'),
    caption: trans.__('Show the runs of this notebook in the panel'),
    icon: menuIcon(nbpipeIcon),
    describedBy: ofFile,
    isEnabled: (args) => picked(args) !== '' && commands.hasCommand(CommandIDs.openPanel),
    execute: (args) =>
      commands.execute(CommandIDs.openPanel, {
        path: picked(args),
        stage: target.stage({ path: picked(args) }),
      }) as Promise<unknown>,
  });
  commands.addCommand(CommandIDs.exportFile, {
    label: trans.__('Export Pipeline…'),
    caption: trans.__('Write the pipeline of this notebook for a scheduler'),
    icon: menuIcon(launchIcon),
    describedBy: ofFile,
    isEnabled: (args) => picked(args) !== '',
    execute: (args) => {
      const path = picked(args);
      const item = browsers?.tracker.currentWidget?.node.querySelector('.jp-DirListing-item.jp-mod-selected');
      const entries = nbpipe.exports.entries(path);
      if (item) {
        showMenuBelow(entries, item);
      } else {
        showMenu(entries, { x: 0, y: 0 });
      }
    },
  });
  commands.addCommand(CommandIDs.newPipeline, {
    label: (args) => (args.isPalette ? trans.__('New Pipeline Notebook') : trans.__('Pipeline')),
    caption: trans.__('A notebook whose cells are stages of a pipeline'),
    icon: menuIcon(nbpipeIcon),
    describedBy: takes({ cwd: trans.__('The folder for it.') }),
    execute: async (args) => {
      const cwd =
        typeof args.cwd === 'string' ? args.cwd : (browsers?.tracker.currentWidget?.model.path ?? '');
      const { contents, kernelspecs } = app.serviceManager;
      const made = await contents.newUntitled({ path: cwd, type: 'notebook' });
      await kernelspecs.ready;
      const kernel = kernelspecs.specs?.default ?? 'python3';
      const metadata = { kernelspec: { name: kernel, display_name: kernel, language: 'python' } };
      const cells = FIRST.map((lines) => ({
        cell_type: 'code',
        execution_count: null,
        metadata: {},
        outputs: [],
        source: lines.join('\n'),
      }));
      const content = { cells, metadata, nbformat: 4, nbformat_minor: 4 };
      await contents.save(made.path, { type: 'notebook', format: 'json', content });
      await commands.execute('docmanager:open', { path: made.path });
    },
  });
}
