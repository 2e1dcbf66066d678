import { Notification } from '@jupyterlab/apputils';
import type { Cell, ICellModel } from '@jupyterlab/cells';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Problem, ProblemAction } from '../../shared/api';
import { problemText } from '../../shared/backend';
import type { INbpipe } from '../tokens';
import { contentOf } from '../content';
import { install } from './install';
import { Marks } from './marks';
import type { NotebookState } from './notebook';
import type { CellsSettings } from './settings';
import { replaceSource, tagCell, untagCell } from './tagging';
import { parseLine, type Role } from './grammar';
import { optionsOf, readTag, textOf } from './tags';
import { textOfCell } from './watch';

/**
 * "Check": what would go wrong in a run, marked on the cells before anything runs.
 *
 * Responsibilities: asks the server about the notebook as it stands, puts its problems at their cells and carries out a fix
 * when its button is pressed. It must not change anything by itself.
 */
export class Checker {
  private readonly marks: Marks;
  /** The text of the cells that was checked: a fix is a fix of that. */
  private checked = new Map<string, string>();

  constructor(
    private readonly state: NotebookState,
    private readonly nbpipe: INbpipe,
    private readonly settings: CellsSettings,
  ) {
    this.marks = new Marks(nbpipe.trans, (cell, action) => this.fix(cell, action));
    state.panel.context.saveState.connect((_, saved) => {
      if ((saved as string) === 'completed' && this.settings.now.checkOnSave) {
        void this.run(true);
      }
    });
  }

  /** Check now. `quiet`: say nothing but what is marked. */
  async run(quiet = false): Promise<Problem[]> {
    const { trans } = this.nbpipe;
    const { panel } = this.state;
    if (!panel.content.model) {
      return [];
    }
    let problems: Problem[];
    const content = contentOf(panel.content.model);
    const checked = new Map([...panel.content.model.cells].map((cell) => [cell.id, sourceOf(cell)]));
    try {
      const view = await this.nbpipe.api.pipeline({ path: this.state.path, content });
      ({ problems } = view);
    } catch (error) {
      Notification.error(problemText(error));
      return [];
    }
    this.checked = checked;
    this.marks.clear();
    const homeless = this.place(problems);
    if (!quiet) {
      this.tell(trans, problems, homeless);
    }
    return problems;
  }

  clear(): void {
    this.marks.clear();
  }

  /** Problems at their cells; what belongs to no cell is given back. */
  private place(problems: Problem[]): Problem[] {
    const { widgets } = this.state.panel.content;
    const byCell = new Map<Cell, Problem[]>();
    const homeless: Problem[] = [];
    for (const problem of problems) {
      const cell =
        widgets.find((item) => problem.id !== '' && item.model.id === problem.id) ??
        (problem.cell === null ? undefined : widgets[problem.cell - 1]);
      if (cell) {
        byCell.set(cell, [...(byCell.get(cell) ?? []), problem]);
      } else {
        homeless.push(problem);
      }
    }
    byCell.forEach((found, cell) => this.marks.put(cell, found));
    return homeless;
  }

  private tell(trans: TranslationBundle, problems: Problem[], homeless: Problem[]): void {
    const errors = problems.filter((problem) => problem.severity === 'error').length;
    const others = homeless.map((problem) => problem.message).join(' ');
    if (!problems.length) {
      Notification.success(trans.__('Nothing stands in the way of a run.'), { autoClose: 3000 });
      return;
    }
    const text = errors
      ? trans._n('%1 problem stands in the way of a run.', '%1 problems stand in the way of a run.', errors)
      : trans._n(
          'A run would begin; there is %1 note.',
          'A run would begin; there are %1 notes.',
          problems.length,
        );
    const first = this.state.panel.content.widgets.find((cell) =>
      problems.some((problem) => problem.id === cell.model.id),
    );
    Notification.emit(`${text} ${others}`.trim(), errors ? 'warning' : 'info', {
      autoClose: 6000,
      actions: first
        ? [
            {
              label: trans.__('Show'),
              callback: () => void this.state.panel.content.scrollToCell(first, 'smart'),
            },
          ]
        : [],
    });
  }

  private fix(at: Cell, action: ProblemAction): void {
    const { widgets, model } = this.state.panel.content;
    const cell =
      widgets.find((item) => action.id !== '' && item.model.id === action.id) ??
      (action.cell === null ? at : (widgets[action.cell - 1] ?? at));
    try {
      switch (action.kind) {
        case 'tag-cell': {
          const said = parseLine(action.source ?? '');
          tagCell(
            cell.model,
            { ...said, options: optionsOf(action.source ?? '') },
            this.settings.now.tagStyle,
          );
          break;
        }
        case 'untag-cell':
          untagCell(cell.model);
          break;
        case 'insert-cell': {
          const source = action.source ?? '';
          const index = action.cell === null ? widgets.indexOf(cell) : action.cell - 1;
          model?.sharedModel.insertCell(Math.max(0, index), { cell_type: 'code', source });
          break;
        }
        case 'set-option': {
          const tag = readTag(textOfCell(cell.model));
          if (tag) {
            const options = `${tag.options} ${action.source ?? ''}`.trim();
            tagCell(
              cell.model,
              { role: tag.role as Role, name: tag.name, options },
              this.settings.now.tagStyle,
            );
          }
          break;
        }
        case 'install':
          void this.install(action.source ?? '');
          return;
        default:
          // What was typed since would be lost.
          if (this.checked.get(cell.model.id) !== sourceOf(cell.model)) {
            Notification.info(this.nbpipe.trans.__('The cell was edited meanwhile; it is checked again.'));
          } else if (action.source !== null) {
            replaceSource(cell.model, action.source);
          }
      }
    } catch (error) {
      Notification.error(textOf(error));
      return;
    }
    this.marks.take(at);
    void this.run(true);
  }

  private async install(packages: string): Promise<void> {
    if (await install(this.state.panel.sessionContext, packages, this.nbpipe.trans)) {
      await this.run(true);
    }
  }
}

function sourceOf(cell: ICellModel): string {
  return cell.sharedModel.getSource();
}
