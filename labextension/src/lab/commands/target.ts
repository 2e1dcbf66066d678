import type { Cell } from '@jupyterlab/cells';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { LabIcon } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { NotebookState } from '../cells/notebook';
import { isStage, type Badge } from '../cells/state';
import type { INbpipeCells, NotebookParts } from '../cells/token';

export type Args = ReadonlyPartialJSONObject;

/** What a command is about: what its arguments name, else the notebook and the cell in front. */
export class Target {
  constructor(
    private readonly notebooks: INotebookTracker,
    private readonly cells: INbpipeCells,
  ) {}

  panel(args: Args): NotebookPanel | null {
    const { path } = args;
    if (typeof path === 'string' && path !== '') {
      return this.notebooks.find((panel) => panel.context.path === path) ?? null;
    }
    return this.notebooks.currentWidget;
  }

  path(args: Args): string {
    return typeof args.path === 'string' && args.path !== ''
      ? args.path
      : (this.panel(args)?.context.path ?? '');
  }

  parts(args: Args): NotebookParts | null {
    return this.cells.of(this.panel(args));
  }

  state(args: Args): NotebookState | null {
    return this.parts(args)?.state ?? null;
  }

  cell(args: Args): Cell | null {
    const content = this.panel(args)?.content;
    const named = typeof args.cell === 'string' ? args.cell : '';
    const found = content?.widgets.find((cell) => cell.model.id === named);
    return found ?? (named ? null : (content?.activeCell ?? null));
  }

  /** The stage that is named, or that the cell is in; "" for none. */
  stage(args: Args): string {
    const badge = this.badge(args);
    return typeof args.stage === 'string' && args.stage !== ''
      ? args.stage
      : badge && isStage(badge)
        ? badge.name
        : '';
  }

  badge(args: Args): Badge | null {
    return this.state(args)?.badge(this.cell(args)?.model) ?? null;
  }
}

/** Schema of a command's arguments, all of them texts and none of them needed. */
export function takes(properties: Record<string, string>): { args: ReadonlyJSONObject } {
  const described = Object.entries(properties).map(([name, description]) => [
    name,
    { type: 'string', description },
  ]);
  return { args: { type: 'object', properties: Object.fromEntries(described) as ReadonlyJSONObject } };
}

/** The icon as menus draw it; a toolbar's button names its own. */
export function menuIcon(icon: LabIcon): LabIcon {
  return icon.bindprops({ stylesheet: 'menuItem' });
}
