import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Widget } from '@lumino/widgets';

import { statusWord } from '../shared/Status';
import { INbpipeCells } from './cells/token';
import { CommandIDs } from './ids';
import { INbpipe } from './tokens';

const SYMBOLS: Record<string, string> = { running: '◐', succeeded: '✓', failed: '✗', rejected: '⊘' };

/** `nbpipe ◐ 3/4`: the newest run of the notebook in front. */
export const statusItem: JupyterFrontEndPlugin<void> = {
  id: '@nbpipe/labextension:status',
  description: 'The newest run of the notebook in front, in the status bar.',
  autoStart: true,
  requires: [INbpipe, INbpipeCells, INotebookTracker],
  optional: [IStatusBar],
  activate: (
    app,
    nbpipe: INbpipe,
    cells: INbpipeCells,
    notebooks: INotebookTracker,
    bar: IStatusBar | null,
  ) => {
    if (!bar) {
      return;
    }
    const { trans } = nbpipe;
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'nbp-StatusItem';
    button.addEventListener('click', () => void app.commands.execute(CommandIDs.openPanel));
    const item = new Widget({ node: document.createElement('div') });
    item.node.append(button);
    let known = cells.of(null);
    let leave = (): void => undefined;
    const show = (): void => {
      const row = known?.state.progress?.row;
      const symbol = SYMBOLS[row?.status ?? ''] ?? '■';
      const done = row?.status === 'running' ? ` ${row.done ?? 0}/${row.stages ?? 0}` : '';
      button.textContent = row ? `nbpipe ${symbol}${done}` : '';
      const word = row ? statusWord(row.status, trans) : '';
      button.title = row ? `${row.run} ${word}` : '';
      button.setAttribute('aria-label', row ? trans.__('nbpipe: %1 %2%3', row.run, word, done) : 'nbpipe');
      button.hidden = !row;
    };
    const follow = (): void => {
      known?.state.changed.disconnect(show);
      known = cells.of(notebooks.currentWidget);
      known?.state.changed.connect(show);
      leave();
      // It is in the status bar, whatever lies in front of it.
      leave = known?.state.look() ?? (() => undefined);
      show();
    };
    notebooks.currentChanged.connect(follow);
    cells.added.connect(follow);
    bar.registerStatusItem('@nbpipe/labextension:status', { item, align: 'left', rank: 90 });
  },
};
