import { Notification } from '@jupyterlab/apputils';
import type { Cell } from '@jupyterlab/cells';
import { ReactWidget } from '@jupyterlab/ui-components';

import { problemText } from '../../shared/backend';
import { ownPlainKeys } from '../keys';
import type { INbpipe } from '../tokens';
import { contentOf } from '../content';
import { Ghost } from './ghost';
import type { NotebookState } from './notebook';
import { acceptTags, dropMetadata, mergeMetadata, takeBack, type Written } from './accepting';
import { proposalOf, renamed, without, type Proposal, type Proposed } from './proposal';
import type { CellsSettings } from './settings';
import { SuggestBar } from './SuggestBar';
import { textOf } from './tags';

/**
 * "Suggest stages": the proposal of `nbpipe suggest` on the cells, before anything is written.
 *
 * Responsibilities: shows the proposal, writes what is accepted, takes back what it wrote. It must not write what was not
 * accepted, nor take back a line that was changed since.
 */
export class Suggesting {
  private proposal: Proposal | null = null;
  private readonly ghosts = new Map<string, Ghost>();
  private bar: ReactWidget | null = null;
  /** What was accepted here, by cell. */
  private readonly written = new Map<string, Written>();
  /** Keys of the notebook's metadata that were not there before. */
  private added: string[] = [];

  constructor(
    private readonly state: NotebookState,
    private readonly nbpipe: INbpipe,
    private readonly settings: CellsSettings,
  ) {}

  get shown(): boolean {
    return this.proposal !== null;
  }

  /** There is something to take back. */
  get canUndo(): boolean {
    return this.written.size > 0;
  }

  async start(): Promise<void> {
    const { model, widgets } = this.state.panel.content;
    if (!model) {
      return;
    }
    const { trans } = this.nbpipe;
    try {
      const view = await this.nbpipe.api.suggest({ path: this.state.path, content: contentOf(model) });
      const proposal = proposalOf(view, (cell) => widgets[cell - 1]?.model.id ?? '');
      if (proposal.cells.length) {
        this.written.clear();
        this.added = [];
        this.show(proposal);
      } else {
        this.close();
        Notification.info([trans.__('There is nothing to suggest.'), ...view.notes].join(' '), {
          autoClose: 5000,
        });
      }
    } catch (error) {
      Notification.error(problemText(error));
    }
  }

  readonly close = (): void => {
    this.proposal = null;
    this.draw();
  };

  readonly acceptAll = (): void => {
    if (this.proposal) {
      this.accept(this.proposal.cells);
    }
  };

  /** Take back what was accepted here, where it still stands as it was written. */
  readonly undo = (): void => {
    const { model } = this.state.panel.content;
    if (model) {
      takeBack(model, this.written);
      dropMetadata(model, this.added);
    }
    this.written.clear();
    this.added = [];
    this.draw();
  };

  private accept(cells: readonly Proposed[]): void {
    const { model } = this.state.panel.content;
    if (!model || !this.proposal) {
      return;
    }
    try {
      acceptTags(model, cells, this.settings.now.tagStyle).forEach((one, id) => this.written.set(id, one));
      this.added.push(...mergeMetadata(model, this.proposal.metadata));
    } catch (error) {
      Notification.error(textOf(error));
      return;
    }
    const left = without(
      this.proposal,
      cells.map(({ id }) => id),
    );
    this.show(left.cells.length ? left : null);
    if (!left.cells.length) {
      const { trans } = this.nbpipe;
      const text = trans._n('%1 cell was tagged.', '%1 cells were tagged.', this.written.size);
      Notification.success(text, {
        autoClose: 30_000,
        actions: [{ label: trans.__('Undo'), callback: this.undo }],
      });
    }
  }

  private show(proposal: Proposal | null): void {
    this.proposal = proposal;
    this.draw();
  }

  private draw(): void {
    this.drawGhosts();
    this.drawBar();
  }

  private drawGhosts(): void {
    const wanted = new Map(this.proposal?.cells.map((cell) => [cell.id, cell]));
    let left = '';
    for (const [id, ghost] of this.ghosts) {
      if (!wanted.has(id)) {
        left = ghost.focused ? id : left;
        ghost.dispose();
        this.ghosts.delete(id);
      }
    }
    for (const widget of this.state.panel.content.widgets) {
      const cell = wanted.get(widget.model.id);
      if (cell) {
        this.ghostOf(widget).show(cell);
      }
    }
    if (left) {
      this.focusAfter(left);
    }
  }

  /** The focus was on a ghost that is gone: on to the next one, else back to the notebook. */
  private focusAfter(id: string): void {
    const ids = this.state.panel.content.widgets.map((widget) => widget.model.id);
    const at = ids.indexOf(id);
    const next = [...ids.slice(at), ...ids.slice(0, at)].find((other) => this.ghosts.has(other));
    if (next) {
      this.ghosts.get(next)?.focus();
    } else {
      this.state.panel.activate();
    }
  }

  private ghostOf(widget: Cell): Ghost {
    const { id } = widget.model;
    const known = this.ghosts.get(id);
    if (known) {
      return known;
    }
    const ghost = new Ghost(widget.node, this.nbpipe.trans, {
      accept: (cell) => this.accept([cell]),
      dismiss: (cell) => {
        const left = this.proposal && without(this.proposal, [cell.id]);
        this.show(left?.cells.length ? left : null);
      },
      rename: (cell, name) => {
        if (this.proposal) {
          this.show(renamed(this.proposal, cell.name, name));
        }
      },
    });
    this.ghosts.set(id, ghost);
    return ghost;
  }

  private drawBar(): void {
    const { proposal, bar } = this;
    const held = bar?.node.contains(document.activeElement) ?? true;
    if (!proposal) {
      bar?.dispose();
      this.bar = null;
      if (bar && held) {
        this.state.panel.activate();
      }
      return;
    }
    const content = (
      <SuggestBar
        proposal={proposal}
        trans={this.nbpipe.trans}
        canUndo={this.written.size > 0}
        onAccept={this.acceptAll}
        onUndo={this.undo}
        onClose={this.close}
        onJump={(stage) => this.jump(stage)}
      />
    );
    bar?.dispose();
    const made = ReactWidget.create(content);
    made.addClass('nbp');
    made.addClass('nbp-SuggestBar');
    ownPlainKeys(made.node);
    this.bar = made;
    this.state.panel.contentHeader.addWidget(made);
    if (held) {
      // Who asked for it goes on here, with or without a mouse.
      void made.renderPromise?.then(() => made.node.querySelector<HTMLElement>('.nbp-primary')?.focus());
    }
  }

  private jump(stage: string): void {
    const id = this.proposal?.cells.find((cell) => cell.name === stage)?.id;
    const widget = this.state.panel.content.widgets.find((item) => item.model.id === id);
    if (widget) {
      void this.state.panel.content.scrollToCell(widget, 'smart');
    }
  }
}
