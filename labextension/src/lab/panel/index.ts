import { ILayoutRestorer, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStateDB } from '@jupyterlab/statedb';

import { INbpipe } from '../tokens';
import { Actions } from './actions';
import { Keeping } from './keeping';
import { PanelModel } from './model';
import { NbpipePanel } from './widget';

/** The sidebar. */
export const panel: JupyterFrontEndPlugin<void> = {
  id: '@nbpipe/labextension:panel',
  description: 'The sidebar: pipeline, runs and details of the notebook in front.',
  autoStart: true,
  requires: [INbpipe],
  optional: [ILayoutRestorer, IStateDB],
  activate: (app, nbpipe: INbpipe, restorer: ILayoutRestorer | null, states: IStateDB | null) => {
    const model = new PanelModel(nbpipe, new Keeping(states));
    const widget = new NbpipePanel(model, new Actions(model, app.commands), nbpipe.trans);
    app.shell.add(widget, 'left', { rank: 700, type: 'nbpipe' });
    restorer?.add(widget, widget.id);
    app.commands.addCommand('nbpipe:open-panel', {
      label: nbpipe.trans.__('Show nbpipe'),
      caption: nbpipe.trans.__('Pipeline and runs of this notebook'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(widget.id),
    });
  },
};
