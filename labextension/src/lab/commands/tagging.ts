import { Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import { clearIcon, editIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';

import type { Role } from '../cells/grammar';
import { openMenu } from '../cells/menu';
import { isStage } from '../cells/state';
import { askTag } from '../cells/tagDialog';
import { renameStage, rolesOf, tagCell, untagCell } from '../cells/tagging';
import { textOf } from '../cells/tags';
import type { INbpipeCells } from '../cells/token';
import { tagIcon } from '../icons';
import { CommandIDs } from '../ids';
import type { INbpipe } from '../tokens';
import { menuIcon, takes, type Args, type Target } from './target';

const ROLES = ['stage', 'check', 'params', 'profile', 'setup'];

/** Commands that write a cell's tag, and only they do. */
export function addTagCommands(
  commands: CommandRegistry,
  nbpipe: INbpipe,
  target: Target,
  cells: INbpipeCells,
): void {
  const { trans } = nbpipe;
  const ofCell = takes({
    path: trans.__('The notebook; the one in front where it is not given.'),
    cell: trans.__('Id of the cell; the active cell where it is not given.'),
  });
  const isCode = (args: Args): boolean => target.cell(args)?.model.type === 'code';
  const isTagged = (args: Args): boolean => {
    const cell = target.cell(args);
    return cell !== null && target.state(args)?.watch.tag(cell.model) != null;
  };

  commands.addCommand(CommandIDs.tagCell, {
    label: (args) => (isTagged(args) ? trans.__('Edit Tag…') : trans.__('Tag Cell as Stage…')),
    caption: trans.__('Say what this cell is in the pipeline'),
    icon: (args) => (args.toolbar ? tagIcon : menuIcon(isTagged(args) ? editIcon : tagIcon)),
    describedBy: takes({
      path: trans.__('The notebook; the one in front where it is not given.'),
      cell: trans.__('Id of the cell; the active cell where it is not given.'),
      name: trans.__('Name of the stage; asked for where it is not given.'),
      role: trans.__('stage, check, params, profile or setup.'),
      options: trans.__('Options of the stage, such as --gpus 1.'),
    }),
    isEnabled: isCode,
    execute: (args) => tag(nbpipe, target, cells, args),
  });
  commands.addCommand(CommandIDs.untagCell, {
    label: trans.__('Take the Tag Off'),
    caption: trans.__('Take this cell out of the pipeline'),
    icon: menuIcon(clearIcon),
    describedBy: ofCell,
    isEnabled: isTagged,
    execute: (args) => {
      const cell = target.cell(args);
      return cell ? untagCell(cell.model) : false;
    },
  });
  commands.addCommand(CommandIDs.renameStage, {
    label: trans.__('Rename Stage…'),
    caption: trans.__('Give this stage another name, in all of its cells'),
    icon: menuIcon(editIcon),
    describedBy: takes({
      path: trans.__('The notebook; the one in front where it is not given.'),
      cell: trans.__('Id of a cell of the stage; the active cell where it is not given.'),
      stage: trans.__('Name of the stage.'),
      name: trans.__('Its new name; asked for where it is not given.'),
    }),
    isEnabled: (args) => target.stage(args) !== '',
    execute: (args) => rename(nbpipe, target, args),
  });
  commands.addCommand(CommandIDs.cellMenu, {
    label: trans.__('Menu of the Cell in the Pipeline'),
    caption: trans.__('What can be done with this cell: run, tag, show'),
    describedBy: ofCell,
    isEnabled: isCode,
    execute: (args) => {
      const [cell, state] = [target.cell(args), target.state(args)];
      if (cell && state) {
        const box = (cell.node.querySelector('.nbp-CellBadge') ?? cell.node).getBoundingClientRect();
        openMenu(commands, trans, {
          state,
          cell: cell.model.id,
          x: box.right,
          y: Math.min(box.bottom, box.top + 24),
        });
      }
    },
  });
}

async function tag(nbpipe: INbpipe, target: Target, cells: INbpipeCells, args: Args): Promise<boolean> {
  const { trans } = nbpipe;
  const [cell, state] = [target.cell(args), target.state(args)];
  if (!cell || !state || cell.model.type !== 'code') {
    return false;
  }
  const now = state.watch.tag(cell.model);
  const role = (
    typeof args.role === 'string' && ROLES.includes(args.role) ? args.role : (now?.role ?? 'stage')
  ) as Role;
  const options = typeof args.options === 'string' ? args.options : (now?.options ?? '');
  const asked = {
    title: now ? trans.__('Edit the tag of this cell') : trans.__('Tag this cell'),
    role: ROLES.includes(role) ? role : 'stage',
    name: typeof args.name === 'string' ? args.name : (now?.name ?? ''),
    options,
    names: [...new Set([...state.badges.values()].filter(isStage).map((badge) => badge.name))],
  };
  const given = typeof args.name === 'string' || typeof args.role === 'string';
  const chosen = given ? { role, name: asked.name, options } : await askTag(trans, asked);
  nbpipe.notebooks.activateIfLost(target.path(args));
  if (!chosen || cell.isDisposed) {
    return false;
  }
  try {
    tagCell(cell.model, chosen, cells.settings.now.tagStyle);
    return true;
  } catch (error) {
    Notification.error(textOf(error));
    return false;
  }
}

async function rename(nbpipe: INbpipe, target: Target, args: Args): Promise<boolean> {
  const { trans } = nbpipe;
  const model = target.panel(args)?.content.model;
  const from = target.stage(args);
  if (!model || !from) {
    return false;
  }
  let name = typeof args.name === 'string' ? args.name : null;
  if (name === null) {
    const answer = await InputDialog.getText({
      title: trans.__('Rename %1', from),
      text: from,
      okLabel: trans.__('Rename'),
    });
    nbpipe.notebooks.activateIfLost(target.path(args));
    name = answer.button.accept ? answer.value : null;
  }
  name = name?.trim() ?? '';
  if (!name || name === from || !(await mayJoin(trans, rolesOf(model), from, name)) || model.isDisposed) {
    return false;
  }
  try {
    renameStage(model, from, name);
    return true;
  } catch (error) {
    Notification.error(textOf(error));
    return false;
  }
}

/** Two stages of one name are one stage: it is asked whether that is meant. A check is no part of a stage. */
async function mayJoin(
  trans: INbpipe['trans'],
  roles: ReadonlyMap<string, Role>,
  from: string,
  name: string,
): Promise<boolean> {
  const other = roles.get(name);
  if (other === undefined) {
    return true;
  }
  if (other !== roles.get(from) || other === 'check') {
    Notification.error(trans.__('“%1” is the name of another part of the pipeline. Choose another.', name));
    return false;
  }
  const { button } = await showDialog({
    title: trans.__('Put “%1” into “%2”?', from, name),
    body: trans.__(
      'There is a stage “%1” already. The cells of both would be one stage, which runs and is stored as a whole.',
      name,
    ),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Make them one stage') })],
  });
  return button.accept;
}
