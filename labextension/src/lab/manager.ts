import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { Event } from '@jupyterlab/services';

import { RUN_EVENT, type RunEvent } from '../shared/api';
import { Api } from './api';
import { PACE } from './backend';
import { followKeys } from './keys';
import { Notebooks } from './notebooks';
import { Nbpipe } from './nbpipe';
import { INbpipe } from './tokens';

const ID = '@nbpipe/labextension:manager';

/** Knows the notebook in front, and hears of runs. */
export const manager: JupyterFrontEndPlugin<INbpipe> = {
  id: ID,
  description: "Talks to nbpipe's server extension for the other plugins.",
  autoStart: true,
  provides: INbpipe,
  optional: [INotebookTracker, IDocumentManager, ITranslator, ISettingRegistry],
  activate: (
    app,
    tracker: INotebookTracker | null,
    documents: IDocumentManager | null,
    translator: ITranslator | null,
    registry: ISettingRegistry | null,
  ) => {
    followKeys();
    const { serverSettings, events } = app.serviceManager;
    const trans = (translator ?? nullTranslator).load('nbpipe');
    const nbpipe = new Nbpipe(new Api(serverSettings, trans), trans, new Notebooks(tracker, documents), app);
    tracker?.currentChanged.connect((_, panel) => {
      if (panel) {
        nbpipe.go(panel.context.path);
      }
    });
    const follow = (panel: NotebookPanel): void => {
      panel.context.pathChanged.connect((_, path) => {
        if (tracker?.currentWidget === panel) {
          nbpipe.go(path);
        }
      });
    };
    tracker?.widgetAdded.connect((_, panel) => follow(panel));
    tracker?.forEach(follow);
    if (tracker?.currentWidget) {
      nbpipe.go(tracker.currentWidget.context.path);
    }
    events.stream.connect((_, emission: Event.Emission) => {
      if (emission.schema_id === RUN_EVENT) {
        nbpipe.hear(emission as unknown as RunEvent);
      }
    });
    void registry?.load(ID).then((settings) => {
      const read = (): void => {
        const { pollRunning, pollIdle } = settings.composite as { pollRunning?: number; pollIdle?: number };
        nbpipe.setPace({ running: pollRunning ?? PACE.running, idle: pollIdle ?? PACE.idle });
      };
      settings.changed.connect(read);
      read();
    });
    return nbpipe;
  },
};
