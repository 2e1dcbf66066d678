import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';

import { takes } from '../commands/target';
import { nbpipeIcon } from '../icons';
import { CommandIDs } from '../ids';
import type { Actions } from './actions';
import type { PanelModel } from './model';

/** Commands of the panel. */
export function addPanelCommands(
  app: JupyterFrontEnd,
  id: string,
  model: PanelModel,
  actions: Actions,
  palette: ICommandPalette | null,
): void {
  const { nbpipe } = model;
  const { trans } = nbpipe;
  const ofRun = takes({ run: trans.__('The run; the one that is opened where it is not given.') });
  const given = (value: unknown): string => (typeof value === 'string' ? value : '');
  const run = (value: unknown): string => given(value) || model.get().opened;

  app.commands.addCommand(CommandIDs.openPanel, {
    label: trans.__('Show nbpipe'),
    caption: trans.__('Pipeline and runs of this notebook'),
    icon: nbpipeIcon,
    describedBy: takes({
      path: trans.__('A notebook; the one in front where it is not given.'),
      run: trans.__('A run to open.'),
      stage: trans.__('A stage to show.'),
    }),
    execute: async (args) => {
      const path = given(args['path']);
      if (path) {
        nbpipe.go(path);
      }
      app.shell.activateById(id);
      await model.follow();
      if (given(args['run'])) {
        model.open(given(args['run']));
      }
      if (given(args['stage'])) {
        model.reveal(given(args['stage']));
      }
    },
  });
  app.commands.addCommand(CommandIDs.refresh, {
    label: trans.__('Refresh the Runs'),
    describedBy: takes({}),
    execute: () => model.refresh(),
  });
  app.commands.addCommand(CommandIDs.setBaseline, {
    label: trans.__('Baseline: Compare with the Opened Run'),
    describedBy: ofRun,
    isEnabled: (args) => run(args['run']) !== '',
    execute: (args) => model.get().store?.setBaseline(run(args['run'])),
  });
  app.commands.addCommand(CommandIDs.runWithParams, {
    label: trans.__('Run with Parameters…'),
    describedBy: takes({}),
    isEnabled: () => (model.get().pipeline?.params.length ?? 0) > 0,
    execute: () => actions.runWithParams(),
  });
  for (const command of [
    CommandIDs.openPanel,
    CommandIDs.refresh,
    CommandIDs.setBaseline,
    CommandIDs.runWithParams,
  ]) {
    palette?.addItem({ command, category: 'nbpipe' });
  }
}
