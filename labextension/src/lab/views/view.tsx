import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';

import { nbpipeIcon } from '../icons';
import { ownPlainKeys } from '../keys';
import type { INbpipe } from '../tokens';
import { Trans } from '../trans';

/** Content of a tab of the main area. */
export class View extends ReactWidget {
  constructor(
    private readonly nbpipe: INbpipe,
    /** What it is opened with again after a reload. */
    readonly args: Record<string, string | readonly string[]>,
    title: { label: string; caption: string },
    private readonly content: ReactElement,
    private readonly end: () => void = () => undefined,
  ) {
    super();
    this.addClass('nbp');
    this.addClass('nbp-View');
    this.title.label = title.label;
    this.title.caption = title.caption;
    this.title.icon = nbpipeIcon;
    ownPlainKeys(this.node);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      super.dispose();
      this.end();
    }
  }

  protected override render(): ReactElement {
    return <Trans.Provider value={this.nbpipe.trans}>{this.content}</Trans.Provider>;
  }
}
