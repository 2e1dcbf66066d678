import type { Line } from './said';

const DELAY = 350;

/** The card that says more of the badge under the mouse, or of the one that has the focus. One for the whole page. */
export class Card {
  private readonly node = document.createElement('div');
  private timer = 0;

  constructor() {
    this.node.className = 'nbp-CellCard';
    this.node.id = 'nbpipe-cell-card';
    this.node.setAttribute('role', 'tooltip');
    this.node.hidden = true;
    window.addEventListener('scroll', this.hide, true);
    window.addEventListener('keydown', this.hide, true);
    window.addEventListener('mousedown', this.hide, true);
  }

  /** Show it below the anchor, unless the mouse goes on before. */
  show(anchor: HTMLElement, title: string, lines: () => Line[]): void {
    this.hide();
    this.timer = window.setTimeout(() => {
      if (anchor.isConnected) {
        this.fill(title, lines());
        this.place(anchor);
      }
    }, DELAY);
  }

  readonly hide = (): void => {
    window.clearTimeout(this.timer);
    this.node.hidden = true;
  };

  dispose(): void {
    this.hide();
    this.node.remove();
    window.removeEventListener('scroll', this.hide, true);
    window.removeEventListener('keydown', this.hide, true);
    window.removeEventListener('mousedown', this.hide, true);
  }

  private fill(title: string, lines: Line[]): void {
    const head = document.createElement('div');
    head.className = 'nbp-CellCard-title';
    head.textContent = title;
    const list = document.createElement('dl');
    for (const [what, value] of lines) {
      const term = document.createElement('dt');
      term.textContent = what;
      const said = document.createElement('dd');
      said.textContent = value;
      list.append(term, said);
    }
    this.node.replaceChildren(head, ...(lines.length ? [list] : []));
  }

  private place(anchor: HTMLElement): void {
    if (!this.node.isConnected) {
      document.body.append(this.node);
    }
    this.node.hidden = false;
    const box = anchor.getBoundingClientRect();
    const own = this.node.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.right - own.width, window.innerWidth - own.width - 8));
    const below = box.bottom + 4;
    const top = below + own.height > window.innerHeight - 8 ? box.top - own.height - 4 : below;
    this.node.style.left = `${left}px`;
    this.node.style.top = `${Math.max(8, top)}px`;
    anchor.setAttribute('aria-describedby', this.node.id);
  }
}
