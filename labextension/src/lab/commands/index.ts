import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';

import { INbpipeCells } from '../cells/token';
import { addExportCommand } from '../export/command';
import { CommandIDs } from '../ids';
import { INbpipe } from '../tokens';
import { addFileCommands } from './files';
import { addLookCommands } from './looking';
import { addRunCommands } from './running';
import { addTagCommands } from './tagging';
import { Target } from './target';

const PALETTE = [
  CommandIDs.runPipeline,
  CommandIDs.runStale,
  CommandIDs.runFresh,
  CommandIDs.runStage,
  CommandIDs.runFromCell,
  CommandIDs.runOnTarget,
  CommandIDs.cancelRun,
  CommandIDs.tagCell,
  CommandIDs.untagCell,
  CommandIDs.renameStage,
  CommandIDs.cellMenu,
  CommandIDs.suggestStages,
  CommandIDs.undoSuggested,
  CommandIDs.check,
  CommandIDs.clearCheck,
  CommandIDs.export,
  CommandIDs.newPipeline,
];

/** What can be done with a notebook's pipeline, for menus, toolbars, keys and the palette. */
export const commands: JupyterFrontEndPlugin<void> = {
  id: '@nbpipe/labextension:commands',
  description: 'Commands, menus, toolbars and shortcuts: run, tag, check, suggest, export.',
  autoStart: true,
  requires: [INbpipe, INbpipeCells, INotebookTracker],
  optional: [ICommandPalette, ILauncher, IFileBrowserFactory],
  activate: (
    app,
    nbpipe: INbpipe,
    cells: INbpipeCells,
    notebooks: INotebookTracker,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    browsers: IFileBrowserFactory | null,
  ) => {
    const target = new Target(notebooks, cells);
    const { runs } = nbpipe;
    addRunCommands(app.commands, nbpipe, target, runs);
    addTagCommands(app.commands, nbpipe, target, cells);
    addLookCommands(app.commands, nbpipe, target);
    addExportCommand(app, nbpipe, target);
    addFileCommands(app, nbpipe, target, runs, browsers);
    for (const command of PALETTE) {
      palette?.addItem({ command, category: 'nbpipe', args: { isPalette: true } });
    }
    launcher?.add({ command: CommandIDs.newPipeline, category: 'Notebook', rank: 50 });
    notebooks.activeCellChanged.connect(() => {
      for (const command of [
        CommandIDs.runStage,
        CommandIDs.runFromCell,
        CommandIDs.tagCell,
        CommandIDs.untagCell,
      ]) {
        app.commands.notifyCommandChanged(command);
      }
    });
  },
};
