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
import { staleProblems } from './stale';
import { replaceSource, tagCell, untagCell } from './tagging';
import { parseLine } from './grammar';
import { optionsOf, textOf } from './tags';

/**
 * "Check": what would go wrong in a run, marked on the cells before anything runs.
 *
 * Responsibilities: asks the server about the notebook as it stands, puts its problems at their cells, with what is stale in
 * the kernel, and carries out a fix when its button is pressed. It must not change anything by itself.
 */
export class Checker {
  private readonly marks: Marks;
  /** What is stale follows the kernel, from the first check until the marks are put away. */
  private readonly staleMarks: Marks;
  private following = false;
  private stale: Problem[] = [];
  /** The text of the cells that was checked: a fix is a fix of that. */
  private checked = new Map<string, string>();

  constructor(
    private readonly state: NotebookState,
    private readonly nbpipe: INbpipe,
    private readonly settings: CellsSettings,
    private readonly execute: (cells: Cell[]) => Promise<unknown>,
  ) {
    this.marks = new Marks(nbpipe.trans, (cell, action) => this.fix(cell, action));
    this.staleMarks = new Marks(nbpipe.trans, (cell, action) => this.fix(cell, action));
    state.changed.connect(this.follow);
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
    // In which order its cells ran is one of the things that are checked.
    const content = contentOf(panel.content.model, true);
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
    const homeless = this.place(problems, this.marks);
    this.following = true;
    this.follow();
    // It may know of edits that it was not told yet.
    this.state.kernel.ask();
    problems = [...problems, ...this.stale];
    if (!quiet) {
      this.tell(trans, problems, homeless);
    }
    return problems;
  }

  clear(): void {
    this.following = false;
    this.stale = [];
    this.marks.clear();
    this.staleMarks.clear();
  }

  private readonly follow = (): void => {
    const stale = this.following ? staleProblems(this.state.badges, this.nbpipe.trans) : [];
    if (JSON.stringify(stale) !== JSON.stringify(this.stale)) {
      this.stale = stale;
      this.staleMarks.clear();
      this.place(stale, this.staleMarks);
    }
  };

  /** Problems at their cells; what belongs to no cell is given back. */
  private place(problems: Problem[], marks: Marks): Problem[] {
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
    byCell.forEach((found, cell) => marks.put(cell, found));
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
    const { widgets } = this.state.panel.content;
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
        case 'run-cell': {
          const ids = action.source?.split(' ') ?? [cell.model.id];
          void this.runCells(widgets.filter(({ model }) => ids.includes(model.id)));
          return;
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

  private async runCells(cells: Cell[]): Promise<void> {
    await this.execute(cells);
    await this.run(true);
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
