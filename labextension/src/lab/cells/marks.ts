import type { Cell } from '@jupyterlab/cells';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Problem, ProblemAction } from '../../shared/api';
import { ownPlainKeys } from '../keys';
import { MARKS_CLASS } from './classes';

const SYMBOLS = { error: '✗', warning: '⚠', info: 'ⓘ' } as const;

/** What "Check" found, at the cells it is about: below a cell's head, one line each, with its fixes as buttons. */
export class Marks {
  private readonly shown = new Map<Cell, { node: HTMLElement; stop: () => void }>();

  constructor(
    private readonly trans: TranslationBundle,
    private readonly fix: (cell: Cell, action: ProblemAction) => void,
  ) {}

  /** The problems of one cell, until its text changes or they are put away. */
  put(cell: Cell, problems: Problem[]): void {
    this.take(cell);
    const node = document.createElement('div');
    node.className = MARKS_CLASS;
    node.setAttribute('role', 'group');
    node.setAttribute('aria-label', this.trans.__('What the check found'));
    node.append(...problems.map((problem) => this.line(cell, problem)));
    ownPlainKeys(node);
    const shared = cell.model.sharedModel;
    const edited = (_: unknown, change: { sourceChange?: unknown }): void => {
      if (change.sourceChange) {
        this.take(cell);
      }
    };
    shared.changed.connect(edited);
    this.shown.set(cell, { node, stop: () => shared.changed.disconnect(edited) });
    // Above the input, so that the editor keeps its place.
    cell.node.insertBefore(node, cell.node.firstChild);
  }

  take(cell: Cell): void {
    const found = this.shown.get(cell);
    if (found) {
      found.stop();
      found.node.remove();
      this.shown.delete(cell);
    }
  }

  clear(): void {
    [...this.shown.keys()].forEach((cell) => this.take(cell));
  }

  private line(cell: Cell, problem: Problem): HTMLElement {
    const node = document.createElement('div');
    node.className = 'nbp-CellMark';
    node.dataset.severity = problem.severity;
    const symbol = document.createElement('span');
    symbol.className = 'nbp-CellMark-symbol';
    symbol.textContent = SYMBOLS[problem.severity];
    symbol.setAttribute('role', 'img');
    symbol.setAttribute('aria-label', this.wordOf(problem));
    const text = document.createElement('span');
    text.className = 'nbp-CellMark-text';
    text.textContent =
      problem.line === null ? problem.message : this.trans.__('line %1: %2', problem.line, problem.message);
    const fix = document.createElement('span');
    fix.className = 'nbp-CellMark-fix';
    fix.textContent = problem.fix;
    node.append(symbol, text, fix, ...problem.actions.map((action) => this.button(cell, action)));
    return node;
  }

  private button(cell: Cell, action: ProblemAction): HTMLElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = action.label;
    button.addEventListener('click', () => this.fix(cell, action));
    return button;
  }

  private wordOf(problem: Problem): string {
    switch (problem.severity) {
      case 'error':
        return this.trans.__('error');
      case 'warning':
        return this.trans.__('warning');
      default:
        return this.trans.__('note');
    }
  }
}
