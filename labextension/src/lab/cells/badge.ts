import { ownPlainKeys } from '../keys';
import { BADGE_CLASS } from './classes';

/** What one badge shows. Two badges with equal faces look the same. */
export interface Face {
  title: string;
  /** `✓ 3.2 s`; "" for none. */
  text: string;
  state: string;
  /** For those who do not see it: the whole of it in one sentence. */
  label: string;
  /** Number of the stage's colour; -1 for none. */
  colour: number;
}

export interface Handlers {
  /** It was clicked, or a key was pressed on it. */
  open: (badge: HTMLElement) => void;
  /** The mouse or the focus came, or went. */
  point: (badge: HTMLElement, here: boolean) => void;
}

/** A badge: one button whose texts are texts. */
export class BadgeElement {
  readonly node: HTMLButtonElement;
  private readonly name = document.createElement('span');
  private readonly said = document.createElement('span');
  private shown = '';

  constructor(handlers: Handlers) {
    const { node, name, said } = this.made();
    this.node = node;
    name.className = 'nbp-CellBadge-name';
    said.className = 'nbp-CellBadge-state';
    node.append(name, said);
    node.addEventListener('click', () => handlers.open(node));
    node.addEventListener('contextmenu', (event) => {
      event.preventDefault();
      event.stopPropagation();
      handlers.open(node);
    });
    for (const [event, here] of [
      ['mouseenter', true],
      ['focus', true],
      ['mouseleave', false],
      ['blur', false],
    ] as const) {
      node.addEventListener(event, () => handlers.point(node, here));
    }
  }

  show(face: Face): void {
    const key = JSON.stringify(face);
    if (key === this.shown) {
      return;
    }
    this.shown = key;
    this.name.textContent = face.title;
    this.said.textContent = face.text;
    this.node.dataset.state = face.state;
    this.node.dataset.colour = String(face.colour);
    this.node.setAttribute('aria-label', face.label);
  }

  private made(): { node: HTMLButtonElement; name: HTMLSpanElement; said: HTMLSpanElement } {
    const node = document.createElement('button');
    node.type = 'button';
    node.className = BADGE_CLASS;
    node.setAttribute('aria-haspopup', 'menu');
    // The lab's own keys, such as Enter for editing, are not meant here.
    ownPlainKeys(node);
    return { node, name: this.name, said: this.said };
  }
}
