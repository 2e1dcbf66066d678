import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';

import { CommandIDs } from '../ids';
import type { NotebookState } from './notebook';
import { isStage } from './state';

interface Place {
  state: NotebookState;
  /** Id of the cell. */
  cell: string;
  /** The right edge of the menu. */
  x: number;
  y: number;
}

/** The menu of a badge. */
export function openMenu(
  commands: CommandRegistry,
  trans: TranslationBundle,
  { state, cell, x, y }: Place,
): void {
  const badge = state.badges.get(cell);
  const menu = new Menu({ commands });
  menu.addClass('nbp-CellMenu');
  const args = { path: state.path, cell };
  const add = (command: string, more: Record<string, string> = {}): void => {
    if (commands.hasCommand(command)) {
      menu.addItem({ command, args: { ...args, ...more } });
    }
  };
  if (badge && isStage(badge)) {
    add(CommandIDs.runStage);
    add(CommandIDs.runFromCell);
    add(CommandIDs.runOnTarget);
    menu.addItem({ type: 'separator' });
    add(CommandIDs.showStage);
    add(CommandIDs.openPipeline, { stage: badge.name });
    add(CommandIDs.openLog, {
      stage: badge.name,
      ...(state.progress ? { run: state.progress.row.run } : {}),
    });
    menu.addItem({ type: 'separator' });
    add(CommandIDs.renameStage);
  }
  add(CommandIDs.tagCell);
  add(CommandIDs.untagCell);
  menu.title.label = trans.__('Cell in the pipeline');
  menu.aboutToClose.connect(() => {
    // The item that was chosen is executed after the menu has closed.
    setTimeout(() => menu.dispose());
  });
  menu.open(x, y, { horizontalAlignment: 'right' });
}
