import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal, type ISignal } from '@lumino/signaling';

import type { RunEvent } from '../shared/api';
import type { Api } from './api';
import { PACE, ServerBackend, type Pace } from './backend';
import { Exports } from './export/exports';
import type { Notebooks } from './notebooks';
import { PipelineModel } from './pipelineModel';
import { Runs } from './runs';
import type { INbpipe } from './tokens';

/**
 * What the plugins share.
 *
 * Responsibilities: one backend and one pipeline for each notebook, as long as it is open or somebody looks at it; events for
 * those that somebody listens to. It must not ask the server anything.
 */
export class Nbpipe implements INbpipe {
  readonly runs: Runs;
  readonly exports: Exports;
  readonly changed: ISignal<INbpipe, RunEvent>;
  readonly pathChanged: ISignal<INbpipe, string>;
  private readonly heard = new Signal<INbpipe, RunEvent>(this);
  private readonly moved = new Signal<INbpipe, string>(this);
  private readonly backends = new Map<string, ServerBackend>();
  /** Those whose changes somebody wants to hear of. */
  private readonly used = new Set<ServerBackend>();
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
    notebooks.moved.connect(this.tidy);
  }

  get path(): string {
    return this.current;
  }

  backend(path: string): ServerBackend {
    let found = this.backends.get(path);
    if (!found) {
      found = new ServerBackend(this.api, path, this.pace, (backend, isUsed) => {
        backend.setPace(this.pace);
        if (isUsed) {
          this.used.add(backend);
        } else {
          this.used.delete(backend);
        }
      });
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
    this.used.forEach((backend) => backend.setPace(pace));
  }

  go(path: string): void {
    if (path !== this.current) {
      this.current = path;
      this.moved.emit(path);
      this.tidy();
    }
  }

  hear(event: RunEvent): void {
    this.used.forEach((backend) => backend.hear(event));
    this.heard.emit(event);
  }

  /** Forget notebooks that are closed and looked at by nobody. Whoever still holds one of theirs may go on with it. */
  private readonly tidy = (): void => {
    const open = new Set([this.current, ...this.notebooks.paths()]);
    for (const [path, pipeline] of this.pipelines) {
      if (!open.has(path) && !pipeline.isUsed) {
        this.pipelines.delete(path);
      }
    }
    for (const [path, backend] of this.backends) {
      if (!open.has(path) && !backend.isUsed) {
        this.backends.delete(path);
      }
    }
  };
}
