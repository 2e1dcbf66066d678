import { checkIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';

import { nbpipeIcon, suggestIcon } from '../icons';
import { CommandIDs } from '../ids';
import type { INbpipe } from '../tokens';
import { menuIcon, takes, type Target } from './target';

/** Commands that look at the notebook: check, suggest, show in the panel. */
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
}
