import { Signal, type ISignal } from '@lumino/signaling';

import { Refused } from '../../shared/backend';
import type { Progress } from '../../shared/types';
import type { ServerBackend } from '../backend';

/** How the newest run of a notebook stands, stage by stage. */
export class NewestRun {
  readonly changed: ISignal<this, Progress | null>;
  /** What the server could not say, for the first time it could not. */
  refused: Refused | null = null;
  private readonly emitter = new Signal<this, Progress | null>(this);
  private progress: Progress | null = null;
  private readonly stop: () => void;
  private asked = 0;

  constructor(private readonly backend: ServerBackend) {
    this.changed = this.emitter;
    this.stop = backend.subscribe(({ rows, gone }) => {
      const current = this.progress?.row;
      const news = rows.some(
        (row) =>
          row.kind !== 'trial' &&
          (!current || row.run === current.run || (row.started ?? 0) >= (current.started ?? 0)),
      );
      if (gone || news) {
        void this.look();
      }
    });
    void this.look();
  }

  get current(): Progress | null {
    return this.progress;
  }

  dispose(): void {
    this.stop();
    Signal.clearData(this);
  }

  /** Ask for the newest run of this notebook, and for its stages. */
  async look(): Promise<void> {
    this.asked += 1;
    const { asked } = this;
    try {
      const { rows } = await this.backend.page({ limit: 1 });
      const run = rows[0]?.run;
      const progress = run === undefined ? null : await this.backend.progress(run);
      this.refused = null;
      if (asked === this.asked) {
        this.progress = progress;
        this.emitter.emit(progress);
      }
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      this.refused = error;
    }
  }
}
