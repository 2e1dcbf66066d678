import { InputDialog, Notification } from '@jupyterlab/apputils';
import { checkIcon, launchIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';

import type { Exporter } from '../../shared/api';
import { problemText, Refused } from '../../shared/backend';
import { nbpipeIcon, suggestIcon } from '../icons';
import { CommandIDs } from '../ids';
import type { INbpipe } from '../tokens';
import { menuIcon, takes, type Target } from './target';

/** Commands that look at the notebook: check, suggest, show in the panel, export. */
export function addLookCommands(commands: CommandRegistry, nbpipe: INbpipe, target: Target): void {
  const { trans } = nbpipe;
  const ofNotebook = takes({ path: trans.__('The notebook; the one in front where it is not given.') });

  commands.addCommand(CommandIDs.check, {
    label: trans.__('Check Pipeline'),
    caption: trans.__('Mark on the cells what would go wrong in a run'),
    icon: menuIcon(checkIcon),
    describedBy: ofNotebook,
    isEnabled: (args) => target.parts(args) !== null,
    execute: async (args) => {
      const problems = await target.parts(args)?.checker.run();
      return problems?.length ?? 0;
    },
  });
  commands.addCommand(CommandIDs.clearCheck, {
    label: trans.__('Put the Marks of the Check Away'),
    describedBy: ofNotebook,
    isEnabled: (args) => target.parts(args) !== null,
    execute: (args) => target.parts(args)?.checker.clear(),
  });
  commands.addCommand(CommandIDs.suggestStages, {
    label: trans.__('Suggest Stages'),
    caption: trans.__('Show which cells could be which stages; nothing is written until you accept it'),
    icon: menuIcon(suggestIcon),
    describedBy: ofNotebook,
    isEnabled: (args) => target.parts(args) !== null,
    execute: (args) => target.parts(args)?.suggesting.start(),
  });
  commands.addCommand(CommandIDs.undoSuggested, {
    label: trans.__('Take the Accepted Suggestions Back'),
    caption: trans.__('Take off the tags that were accepted, where they were not changed since'),
    describedBy: ofNotebook,
    isEnabled: (args) => target.parts(args)?.suggesting.canUndo === true,
    execute: (args) => target.parts(args)?.suggesting.undo(),
  });
  commands.addCommand(CommandIDs.showStage, {
    label: trans.__('Details'),
    caption: trans.__('Show this stage in the panel'),
    icon: menuIcon(nbpipeIcon),
    describedBy: takes({
      path: trans.__('The notebook.'),
      cell: trans.__('Id of a cell.'),
      stage: trans.__('The stage.'),
    }),
    isEnabled: () => commands.hasCommand(CommandIDs.openPanel),
    execute: (args) =>
      commands.execute(CommandIDs.openPanel, {
        path: target.path(args),
        stage: target.stage(args),
      }) as Promise<unknown>,
  });
  addExport(commands, nbpipe, target);
}

/** Export asks once, when the lab has time, whether there is anything to export to. */
function addExport(commands: CommandRegistry, nbpipe: INbpipe, target: Target): void {
  const { trans, api } = nbpipe;
  let exporters: Exporter[] = [];
  commands.addCommand(CommandIDs.export, {
    label: (args) => (args.toolbar ? trans.__('Export ▾') : trans.__('Export Pipeline…')),
    caption: () =>
      exporters.length
        ? trans.__('Write this pipeline for a scheduler')
        : trans.__('Export: this version of nbpipe has no exporters yet'),
    icon: (args) => (args.toolbar ? undefined : menuIcon(launchIcon)),
    describedBy: takes({
      path: trans.__('The notebook.'),
      to: trans.__('The exporter; asked for where it is not given.'),
    }),
    isEnabled: (args) => exporters.length > 0 && target.path(args) !== '',
    execute: async (args) => {
      let to = typeof args.to === 'string' ? args.to : null;
      if (to === null) {
        const items = exporters.map((exporter) => exporter.title);
        const answer = await InputDialog.getItem({ title: trans.__('Export to'), items });
        to = exporters.find((exporter) => exporter.title === answer.value)?.name ?? null;
        to = answer.button.accept ? to : null;
      }
      if (to === null) {
        return;
      }
      try {
        await api.exportTo(target.path(args), to);
        Notification.success(trans.__('Exported to %1.', to), { autoClose: 5000 });
      } catch (error) {
        Notification.error(problemText(error));
      }
    },
  });
  const ask = async (): Promise<void> => {
    try {
      ({ exporters } = await api.exporters());
      commands.notifyCommandChanged(CommandIDs.export);
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      // Without the server there is nothing to export with; the panel says what is missing.
    }
  };
  setTimeout(() => void ask(), 2000);
}
