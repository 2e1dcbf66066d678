import { ILayoutRestorer, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IStateDB } from '@jupyterlab/statedb';

import { INbpipe } from '../tokens';
import { Actions } from './actions';
import { addPanelCommands } from './commands';
import { Keeping } from './keeping';
import { PanelModel } from './model';
import { NbpipePanel } from './widget';

/** The sidebar. */
export const panel: JupyterFrontEndPlugin<void> = {
  id: '@nbpipe/labextension:panel',
  description: 'The sidebar: pipeline, runs and details of the notebook in front.',
  autoStart: true,
  requires: [INbpipe],
  optional: [ILayoutRestorer, IStateDB, ICommandPalette],
  activate: (
    app,
    nbpipe: INbpipe,
    restorer: ILayoutRestorer | null,
    states: IStateDB | null,
    palette: ICommandPalette | null,
  ) => {
    const keeping = new Keeping(states);
    const model = new PanelModel(nbpipe, keeping);
    app.serviceManager.contents.fileChanged.connect((_, { type, oldValue, newValue }) => {
      if (type === 'rename' && oldValue?.path && newValue?.path) {
        keeping.rename(oldValue.path, newValue.path);
      }
    });
    const actions = new Actions(model, app.commands);
    const widget = new NbpipePanel(model, actions, nbpipe.trans);
    app.shell.add(widget, 'left', { rank: 700, type: 'nbpipe' });
    restorer?.add(widget, widget.id);
    addPanelCommands(app, widget.id, model, actions, palette);
  },
};
