import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import type { Cell } from '@jupyterlab/cells';
import { INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { Signal } from '@lumino/signaling';

import { INbpipe } from '../tokens';
import { Card } from './card';
import { Checker } from './check';
import { openMenu } from './menu';
import { NotebookState } from './notebook';
import { Painter } from './paint';
import { CellsSettings } from './settings';
import { Suggesting } from './suggest';
import { INbpipeCells, type NotebookParts } from './token';

const ID = '@nbpipe/labextension:cells';

/** Badges and rules on the cells of every notebook that is open. */
export const cells: JupyterFrontEndPlugin<INbpipeCells> = {
  id: ID,
  description: 'Badges on the cells: what a cell is in the pipeline, how it stands, and why.',
  autoStart: true,
  provides: INbpipeCells,
  requires: [INbpipe, INotebookTracker],
  optional: [ISettingRegistry],
  activate: (app, nbpipe: INbpipe, notebooks: INotebookTracker, registry: ISettingRegistry | null) => {
    const settings = new CellsSettings();
    void registry?.load(ID).then((loaded) => settings.follow(loaded));
    const card = new Card();
    const followed = new WeakMap<NotebookPanel, NotebookParts>();
    const owner = {
      settings,
      of: (panel: NotebookPanel | null) => (panel ? (followed.get(panel) ?? null) : null),
    };
    const added = new Signal<INbpipeCells, NotebookParts>(owner as INbpipeCells);
    const shared: INbpipeCells = Object.assign(owner, { added });
    const open = (state: NotebookState) => (cell: Cell, badge: HTMLElement) => {
      const box = badge.getBoundingClientRect();
      openMenu(app.commands, nbpipe.trans, { state, cell: cell.model.id, x: box.right, y: box.bottom + 2 });
    };
    const follow = async (panel: NotebookPanel): Promise<void> => {
      await panel.context.ready;
      if (panel.isDisposed || !panel.content.model) {
        return;
      }
      const state = new NotebookState(panel, nbpipe);
      new Painter(state, settings, nbpipe.trans, card, open(state));
      const parts = {
        state,
        checker: new Checker(state, nbpipe, settings, (chosen) =>
          NotebookActions.runCells(panel.content, chosen, panel.sessionContext),
        ),
        suggesting: new Suggesting(state, nbpipe, settings),
      };
      followed.set(panel, parts);
      added.emit(parts);
    };
    notebooks.forEach((panel) => void follow(panel));
    notebooks.widgetAdded.connect((_, panel) => void follow(panel));
    return shared;
  },
};
