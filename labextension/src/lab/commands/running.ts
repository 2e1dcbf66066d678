import { Notification } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';
import { fastForwardIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';

import { problemText } from '../../shared/backend';
import { contentOf } from '../content';
import { runPipelineIcon } from '../icons';
import { CommandIDs } from '../ids';
import { showMenu } from '../menu';
import type { Part, Runs } from '../runs';
import { targetEntries } from '../targets';
import type { INbpipe } from '../tokens';
import { menuIcon, takes, type Args, type Target } from './target';

/** Commands that start and stop runs. */
export function addRunCommands(commands: CommandRegistry, nbpipe: INbpipe, target: Target, runs: Runs): void {
  const { trans } = nbpipe;
  const ofNotebook = takes({ path: trans.__('The notebook; the one in front where it is not given.') });
  const ofStage = takes({
    path: trans.__('The notebook; the one in front where it is not given.'),
    cell: trans.__('Id of a cell of the stage; the active cell where neither is given.'),
    stage: trans.__('Name of the stage.'),
  });
  const start = (args: Args, part: Part): Promise<string | null> =>
    runs.start(target.path(args), part, target.panel(args)?.context ?? null);
  const hasNotebook = (args: Args): boolean => target.path(args) !== '';
  const hasStage = (args: Args): boolean => target.stage(args) !== '';

  commands.addCommand(CommandIDs.runPipeline, {
    label: trans.__('Run Pipeline'),
    caption: trans.__('Save the notebook and run its pipeline; what did not change is not run again'),
    icon: menuIcon(runPipelineIcon),
    describedBy: ofNotebook,
    isEnabled: hasNotebook,
    execute: (args) => start(args, {}),
  });
  commands.addCommand(CommandIDs.runFresh, {
    label: trans.__('Run Everything Again'),
    caption: trans.__('Run every stage, and reuse nothing'),
    icon: menuIcon(fastForwardIcon),
    describedBy: ofNotebook,
    isEnabled: hasNotebook,
    execute: (args) => start(args, { fresh: true }),
  });
  commands.addCommand(CommandIDs.runStale, {
    label: trans.__('Run Only What Is Stale'),
    caption: trans.__('Say which stages are stale, and run them'),
    describedBy: ofNotebook,
    isEnabled: hasNotebook,
    execute: (args) => runStale(nbpipe, target, start, args),
  });
  commands.addCommand(CommandIDs.runStage, {
    label: (args) => {
      const stage = target.stage(args);
      return stage ? trans.__('Run Stage “%1”', stage) : trans.__('Run This Stage');
    },
    caption: trans.__('Run this stage, and of what it needs only what is not known'),
    icon: menuIcon(runIcon),
    describedBy: ofStage,
    isEnabled: hasStage,
    execute: (args) => start(args, { from: target.stage(args), until: target.stage(args) }),
  });
  commands.addCommand(CommandIDs.runFromCell, {
    label: (args) => {
      const stage = target.stage(args);
      return stage ? trans.__('Run from “%1”', stage) : trans.__('Run from Here');
    },
    caption: trans.__('Run this stage and all that depend on it'),
    icon: menuIcon(runIcon),
    describedBy: ofStage,
    isEnabled: hasStage,
    execute: (args) => start(args, { from: target.stage(args) }),
  });
  commands.addCommand(CommandIDs.runOnTarget, {
    label: trans.__('Run on Target…'),
    caption: trans.__(
      'Run this stage, or the whole pipeline where the cell is in none, on a machine of your choice',
    ),
    describedBy: ofStage,
    isEnabled: hasNotebook,
    execute: (args) => {
      const stage = target.stage(args);
      const part = stage ? { from: stage, until: stage } : {};
      const node = target.cell(args)?.node;
      const box = (node?.querySelector('.nbp-CellBadge') ?? node)?.getBoundingClientRect();
      const entries = targetEntries(nbpipe, target.path(args), (on) => void start(args, { ...part, ...on }));
      showMenu(entries, { x: (box?.right ?? 0) - 160, y: box?.bottom ?? 0 });
    },
  });
  commands.addCommand(CommandIDs.cancelRun, {
    label: trans.__('Cancel Run'),
    caption: trans.__('Stop the run of this notebook'),
    icon: menuIcon(stopIcon),
    describedBy: takes({
      path: trans.__('The notebook.'),
      run: trans.__('The run; the one that is on where it is not given.'),
    }),
    isEnabled: hasNotebook,
    execute: async (args) => {
      const path = target.path(args);
      const run = typeof args.run === 'string' ? args.run : (await runs.current(path))?.run;
      if (run === undefined) {
        Notification.info(trans.__('No run of this notebook is on.'), { autoClose: 3000 });
      } else {
        await runs.stop(path, run);
      }
    },
  });
}

/** The stages that a run would run are named before they are run. */
async function runStale(
  nbpipe: INbpipe,
  target: Target,
  start: (args: Args, part: Part) => Promise<string | null>,
  args: Args,
): Promise<string | null> {
  const { trans, api } = nbpipe;
  const path = target.path(args);
  const model = target.panel(args)?.content.model;
  try {
    const plan = await api.plan({ path, ...(model ? { content: contentOf(model) } : {}) });
    const stale = plan.stages.filter((stage) => stage.action !== 'hit').map((stage) => stage.name);
    if (!stale.length) {
      const run = plan.up_to_date ?? '';
      Notification.success(trans.__('Nothing is stale. %1', run).trim(), { autoClose: 4000 });
      return null;
    }
    Notification.info(trans.__('Stale: %1', stale.join(', ')), { autoClose: 4000 });
  } catch (error) {
    Notification.error(problemText(error));
    return null;
  }
  // Another notebook may have come to the front meanwhile.
  return start({ ...args, path }, {});
}
