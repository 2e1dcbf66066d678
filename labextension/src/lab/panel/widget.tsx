import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { AccordionPanel } from '@lumino/widgets';
import type { ReactElement } from 'react';

import { nbpipeIcon } from '../icons';
import { ownPlainKeys } from '../keys';
import { Trans } from '../trans';
import { DetailsSection } from './DetailsSection';
import { Header } from './Header';
import type { PanelModel } from './model';
import { PipelineSection } from './PipelineSection';
import { RunsSection } from './RunsSection';
import type { Actions } from './actions';

/** The sidebar: what is to be run on top, and three sections that open, close and share the height. Escape leaves it. */
export class NbpipePanel extends SidePanel {
  private restored = false;

  constructor(
    private readonly model: PanelModel,
    actions: Actions,
    trans: TranslationBundle,
  ) {
    super();
    this.id = 'nbpipe-panel';
    this.addClass('nbp-Panel');
    this.title.icon = nbpipeIcon;
    this.title.caption = trans.__('nbpipe: pipeline and runs');
    // It takes the focus when it is shown; the next Tab is at its first button.
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('nbpipe'));
    const view = (content: ReactElement, label = ''): ReactWidget => {
      const widget = ReactWidget.create(<Trans.Provider value={trans}>{content}</Trans.Provider>);
      widget.title.label = label;
      widget.addClass('nbp');
      ownPlainKeys(widget.node);
      return widget;
    };
    this.header.addWidget(view(<Header model={model} actions={actions} />));
    this.addWidget(view(<PipelineSection model={model} actions={actions} />, trans.__('Pipeline')));
    this.addWidget(view(<RunsSection model={model} actions={actions} />, trans.__('Runs')));
    const details = view(<DetailsSection model={model} actions={actions} />, trans.__('Details'));
    this.addWidget(details);
    model.subscribe(() => {
      const { opened } = model.get();
      details.title.label = opened ? trans.__('Details %1', opened) : trans.__('Details');
    });
    const keep = () => this.keep();
    this.sections.expansionToggled.connect(keep);
    this.sections.handleMoved.connect(keep);
  }

  handleEvent(event: KeyboardEvent): void {
    const { target } = event;
    const busy = target instanceof Element && target.matches('input, textarea, select');
    if (event.key === 'Escape' && !event.defaultPrevented && !busy) {
      event.preventDefault();
      this.model.nbpipe.notebooks.activate(this.model.get().path);
    }
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    if (!this.node.contains(document.activeElement)) {
      this.node.focus();
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.node.addEventListener('keydown', this);
  }

  protected override onBeforeDetach(message: Message): void {
    this.node.removeEventListener('keydown', this);
    super.onBeforeDetach(message);
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.model.look(true);
    void this.restore();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.model.look(false);
  }

  private get sections(): AccordionPanel {
    return this.content as AccordionPanel;
  }

  private keep(): void {
    if (this.restored) {
      const open = this.sections.widgets.map((widget) => !widget.isHidden);
      this.model.keeping.keep({ open, sizes: this.sections.relativeSizes() });
    }
  }

  private async restore(): Promise<void> {
    await this.model.keeping.ready;
    if (this.restored) {
      return;
    }
    const { open, sizes } = this.model.keeping.layout;
    if (open.length === this.sections.widgets.length) {
      open.forEach((on, index) => (on ? this.sections.expand(index) : this.sections.collapse(index)));
      this.sections.setRelativeSizes(sizes);
    } else {
      this.sections.setRelativeSizes([3, 4, 3]);
    }
    this.restored = true;
  }
}
