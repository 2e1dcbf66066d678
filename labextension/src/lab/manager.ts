import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import type { Event } from '@jupyterlab/services';
import { Signal, type ISignal } from '@lumino/signaling';

import { RUN_EVENT, type RunEvent } from '../shared/api';
import { Api } from './api';
import { PACE, ServerBackend, type Pace } from './backend';
import { Exports } from './export/exports';
import { followKeys } from './keys';
import { Notebooks } from './notebooks';
import { PipelineModel } from './pipelineModel';
import { Runs } from './runs';
import { INbpipe } from './tokens';

const ID = '@nbpipe/labextension:manager';

class Nbpipe implements INbpipe {
  readonly runs: Runs;
  readonly exports: Exports;
  readonly changed: ISignal<INbpipe, RunEvent>;
  readonly pathChanged: ISignal<INbpipe, string>;
  private readonly heard = new Signal<INbpipe, RunEvent>(this);
  private readonly moved = new Signal<INbpipe, string>(this);
  private readonly backends = new Map<string, ServerBackend>();
  private readonly pipelines = new Map<string, PipelineModel>();
  private current = '';
  private pace = PACE;

  constructor(
    readonly api: Api,
    readonly trans: TranslationBundle,
    readonly notebooks: Notebooks,
    app: JupyterFrontEnd,
  ) {
    this.runs = new Runs(this, app.commands);
    this.exports = new Exports(this, app);
    this.changed = this.heard;
    this.pathChanged = this.moved;
  }

  get path(): string {
    return this.current;
  }

  backend(path: string): ServerBackend {
    let found = this.backends.get(path);
    if (!found) {
      found = new ServerBackend(this.api, path, this.pace);
      this.backends.set(path, found);
    }
    return found;
  }

  pipeline(path: string): PipelineModel {
    let found = this.pipelines.get(path);
    if (!found) {
      found = new PipelineModel(this, path);
      this.pipelines.set(path, found);
    }
    return found;
  }

  setPace(pace: Pace): void {
    this.pace = pace;
    this.backends.forEach((backend) => backend.setPace(pace));
  }

  go(path: string): void {
    if (path !== this.current) {
      this.current = path;
      this.moved.emit(path);
    }
  }

  hear(event: RunEvent): void {
    this.backends.forEach((backend) => backend.hear(event));
    this.heard.emit(event);
  }
}

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
        panel.context.pathChanged.connect((_context, path) => {
          if (tracker.currentWidget === panel) {
            nbpipe.go(path);
          }
        });
      }
    });
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
