import type { Cell } from '@jupyterlab/cells';
import type { TranslationBundle } from '@jupyterlab/translation';

import { BadgeElement, type Face } from './badge';
import type { Card } from './card';
import { COLOURS, RULE_CLASS, TAGGED_CLASS } from './classes';
import type { NotebookState } from './notebook';
import { linesOf, titleOf, wordOf } from './said';
import type { CellsSettings } from './settings';
import { badgeText, type Badge } from './state';

/** Space that a badge takes, guessed from its letters: measuring would make the page lay itself out. */
const LETTER = 7.2;
const EDGE = 34;

/**
 * Badges and rules of one notebook, on its cells.
 *
 * Responsibilities: elements beside what the cell draws, made once and changed only where their face changes. It must not
 * touch the cell's own elements or the document.
 */
export class Painter {
  private readonly drawn = new WeakMap<Cell, { badge: BadgeElement; rule: HTMLElement }>();

  constructor(
    private readonly state: NotebookState,
    private readonly settings: CellsSettings,
    private readonly trans: TranslationBundle,
    private readonly card: Card,
    private readonly open: (cell: Cell, badge: HTMLElement) => void,
  ) {
    state.changed.connect(this.paint);
    settings.changed.connect(this.paint);
    state.panel.disposed.connect(() => settings.changed.disconnect(this.paint));
  }

  readonly paint = (): void => {
    for (const cell of this.state.panel.content.widgets) {
      const badge = this.state.badges.get(cell.model.id);
      const drawn = this.drawn.get(cell);
      if (badge) {
        this.show(cell, badge, drawn ?? this.make(cell));
      } else if (drawn) {
        drawn.badge.node.remove();
        drawn.rule.remove();
        cell.node.classList.remove(TAGGED_CLASS);
        this.drawn.delete(cell);
      }
    }
  };

  private make(cell: Cell): { badge: BadgeElement; rule: HTMLElement } {
    const badge = new BadgeElement({
      open: (node) => {
        this.card.hide();
        this.open(cell, node);
      },
      point: (node, here) => this.point(cell, node, here),
    });
    const rule = document.createElement('div');
    rule.className = RULE_CLASS;
    cell.node.append(rule, badge.node);
    const made = { badge, rule };
    this.drawn.set(cell, made);
    return made;
  }

  private show(
    cell: Cell,
    badge: Badge,
    { badge: element, rule }: { badge: BadgeElement; rule: HTMLElement },
  ): void {
    const face = this.faceOf(badge);
    element.show(face);
    rule.dataset.colour = String(face.colour);
    const { badges, rule: ruled } = this.settings.now;
    element.node.hidden = !badges;
    rule.hidden = !ruled || face.colour < 0;
    cell.node.classList.toggle(TAGGED_CLASS, badges);
    const width = `${Math.round((face.title.length + face.text.length) * LETTER + EDGE)}px`;
    if (cell.node.style.getPropertyValue('--nbp-badge-width') !== width) {
      cell.node.style.setProperty('--nbp-badge-width', width);
    }
  }

  private faceOf(badge: Badge): Face {
    const title = titleOf(this.trans, badge);
    const [part, parts] = badge.part;
    const named = parts > 1 ? `${title} ${part}/${parts}` : title;
    const word = wordOf(this.trans, badge.state);
    return {
      title: named,
      text: badgeText(badge, (state) => wordOf(this.trans, state)),
      state: badge.state,
      label: [badge.role === 'check' ? this.trans.__('check') : this.trans.__('stage'), named, word]
        .filter(Boolean)
        .join(' '),
      colour: badge.order < 0 ? -1 : badge.order % COLOURS,
    };
  }

  private point(cell: Cell, node: HTMLElement, here: boolean): void {
    const badge = this.state.badges.get(cell.model.id);
    if (!here || !badge) {
      this.card.hide();
      return;
    }
    const run = this.state.progress?.row.run ?? '';
    this.card.show(node, titleOf(this.trans, badge), () =>
      linesOf(this.trans, badge, run, Date.now() / 1000),
    );
  }
}
