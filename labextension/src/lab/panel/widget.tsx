import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import { useSyncExternalStore, type ReactElement } from 'react';

import { HistoryView } from '../../shared/HistoryView';
import { nbpipeIcon } from '../icons';
import type { PanelModel } from './model';

/** The sidebar: three sections that open and close. */
export class NbpipePanel extends SidePanel {
  constructor(model: PanelModel, trans: TranslationBundle) {
    super();
    this.id = 'nbpipe-panel';
    this.addClass('nbp-Panel');
    this.title.icon = nbpipeIcon;
    this.title.caption = trans.__('nbpipe: pipeline and runs');
    this.addWidget(section(trans.__('Runs'), <Runs model={model} />));
  }
}

function section(title: string, content: ReactElement): ReactWidget {
  const widget = ReactWidget.create(content);
  widget.title.label = title;
  widget.addClass('nbp');
  return widget;
}

function Runs({ model }: { model: PanelModel }) {
  const { store } = useSyncExternalStore(model.subscribe, model.get);
  return store ? <HistoryView store={store} /> : <p className="nbp-empty">Open a notebook.</p>;
}
