import { ReactWidget } from '@jupyterlab/ui-components';
import { Fragment, type ReactElement } from 'react';

import { nbpipeIcon } from '../icons';
import { ownPlainKeys } from '../keys';
import type { INbpipe } from '../tokens';
import { Trans } from '../trans';

/**
 * Content of a tab of the main area.
 *
 * Responsibilities: draws what it is given, and ends that when it is closed, or shows something else of the same kind.
 */
export class View extends ReactWidget {
  /** What is shown in the place of something else begins anew. */
  private turn = 0;

  constructor(
    private readonly nbpipe: INbpipe,
    /** What it is opened with again after a reload. */
    public args: Record<string, string | readonly string[]>,
    title: { label: string; caption: string },
    private content: ReactElement,
    private end: () => void = () => undefined,
  ) {
    super();
    this.addClass('nbp');
    this.addClass('nbp-View');
    this.title.label = title.label;
    this.title.caption = title.caption;
    this.title.icon = nbpipeIcon;
    ownPlainKeys(this.node);
  }

  /** Show what another view would have shown, which nobody has seen yet. */
  become(other: View): void {
    this.end();
    this.args = other.args;
    this.content = other.content;
    this.end = other.end;
    // With a widget its title goes.
    this.title.label = other.title.label;
    this.title.caption = other.title.caption;
    other.end = () => undefined;
    other.dispose();
    this.turn += 1;
    this.update();
  }

  override dispose(): void {
    if (!this.isDisposed) {
      super.dispose();
      this.end();
    }
  }

  protected override render(): ReactElement {
    return (
      <Trans.Provider value={this.nbpipe.trans}>
        <Fragment key={this.turn}>{this.content}</Fragment>
      </Trans.Provider>
    );
  }
}
