import type { TranslationBundle } from '@jupyterlab/translation';

import { ownPlainKeys } from '../keys';
import { checkName } from './grammar';
import { GHOST_CLASS } from './classes';
import type { Proposed } from './proposal';
import { textOf } from './tags';

export interface GhostHandlers {
  accept: (cell: Proposed) => void;
  dismiss: (cell: Proposed) => void;
  rename: (cell: Proposed, name: string) => void;
}

/** A badge that is not there yet: what a cell would become, with a field for its name and two buttons. */
export class Ghost {
  private readonly node = document.createElement('div');
  private readonly name = document.createElement('input');
  private readonly role = document.createElement('span');
  private cell: Proposed | null = null;

  constructor(
    private readonly host: HTMLElement,
    trans: TranslationBundle,
    private readonly handlers: GhostHandlers,
  ) {
    this.node.className = GHOST_CLASS;
    ownPlainKeys(this.node);
    this.role.className = 'nbp-CellGhost-role';
    this.name.spellcheck = false;
    this.name.setAttribute('aria-label', trans.__('Name of the suggested stage'));
    this.name.addEventListener('change', () => this.rename());
    this.name.addEventListener('keydown', (event) => {
      event.stopPropagation();
      if (event.key === 'Enter') {
        this.name.blur();
      }
    });
    this.node.append(
      this.role,
      this.name,
      this.button('✓', trans.__('Accept'), 'accept'),
      this.button('✕', trans.__('Dismiss'), 'dismiss'),
    );
    // What is typed and clicked here is not meant for the cell.
    for (const event of ['mousedown', 'dblclick']) {
      this.node.addEventListener(event, (item) => item.stopPropagation());
    }
    host.append(this.node);
  }

  show(cell: Proposed): void {
    this.cell = cell;
    const named = cell.role !== 'params' && cell.role !== 'setup';
    this.role.textContent = named && cell.role !== 'stage' ? cell.role : named ? '' : cell.role;
    this.name.hidden = !named;
    this.name.value = cell.name;
    this.name.size = Math.max(4, cell.name.length);
    this.name.removeAttribute('aria-invalid');
    this.node.title = cell.why;
    const letters = this.name.size + this.role.textContent.length;
    this.host.style.setProperty('--nbp-ghost-width', `${letters * 8 + 70}px`);
  }

  get focused(): boolean {
    return this.node.contains(document.activeElement);
  }

  focus(): void {
    this.node.querySelector('button')?.focus();
  }

  dispose(): void {
    this.host.style.removeProperty('--nbp-ghost-width');
    this.node.remove();
  }

  private button(symbol: string, label: string, what: 'accept' | 'dismiss'): HTMLElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = symbol;
    button.className = `nbp-CellGhost-${what}`;
    button.setAttribute('aria-label', label);
    button.title = label;
    button.addEventListener('click', () => {
      if (this.cell) {
        this.handlers[what](this.cell);
      }
    });
    return button;
  }

  private rename(): void {
    const name = this.name.value.trim();
    if (!this.cell || name === this.cell.name) {
      return;
    }
    try {
      checkName(name);
    } catch (error) {
      this.name.setAttribute('aria-invalid', 'true');
      this.name.title = textOf(error);
      return;
    }
    this.name.title = '';
    this.handlers.rename(this.cell, name);
  }
}
