import { Notification } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { CommandRegistry } from '@lumino/commands';
import { Signal, type ISignal } from '@lumino/signaling';

import type { Started, StartQuestion } from '../shared/api';
import { problemText, Refused } from '../shared/backend';
import { contentOf } from './content';
import { duration } from '../shared/format';
import { statusWord } from '../shared/Status';
import type { RunRow } from '../shared/types';
import { CommandIDs } from './ids';
import type { INbpipe } from './tokens';

/** Which part of the pipeline to run. */
export type Part = Omit<StartQuestion, 'path' | 'content'>;
type Context = NotebookPanel['context'];

/** Milliseconds for which a shared document's save is waited for: without a connection it never answers. */
const SAVING = 5000;

/**
 * Starts, follows and stops runs for the commands.
 *
 * Responsibilities: one notification a run, which says how it ended and what to do next. It must not keep a run alive, nor end
 * one when the page is left.
 */
export class Runs {
  /** A run was asked for here, and is on; or there is one that has everything already. */
  readonly started: ISignal<Runs, { path: string; run: string }>;
  private readonly hasStarted = new Signal<Runs, { path: string; run: string }>(this);
  /** Notebook and run -> the notification that follows it: each project has an r1. */
  private readonly notes = new Map<string, string>();

  constructor(
    private readonly nbpipe: INbpipe,
    private readonly commands: CommandRegistry,
  ) {
    this.started = this.hasStarted;
  }

  /** Save the notebook and run it, or a part of it. The id of the run; null where there is none. */
  async start(path: string, part: Part, context: Context | null): Promise<string | null> {
    const { trans } = this.nbpipe;
    try {
      const { run, status } = await this.ask(path, part, context);
      if (status === 'running') {
        this.follow(path, run);
      } else {
        Notification.emit(trans.__('%1 is up to date: %2 has everything.', name(path), run), 'success', {
          autoClose: 5000,
        });
      }
      this.hasStarted.emit({ path, run });
      return run;
    } catch (error) {
      const check = {
        label: trans.__('Check'),
        callback: () => void this.commands.execute(CommandIDs.check, { path }),
      };
      // The lab asks which is to stay, what stands in the editor or on the disk.
      const save = {
        label: trans.__('Save and run'),
        callback: () =>
          void context?.save().then(
            () => this.start(path, part, context),
            // It was thought better of, or the lab has said why not.
            () => undefined,
          ),
      };
      Notification.error(problemText(error), {
        autoClose: false,
        actions: [isUnsaved(error) ? save : check],
      });
      return null;
    }
  }

  async stop(path: string, run: string): Promise<void> {
    try {
      await this.nbpipe.api.stop(run, { path });
    } catch (error) {
      Notification.error(problemText(error));
    }
  }

  /** The run of this notebook that is on, if there is one. */
  async current(path: string): Promise<RunRow | null> {
    const { rows } = await this.nbpipe.backend(path).page({ statuses: ['running'], limit: 1 });
    return rows[0] ?? null;
  }

  /** What the editor shows is run: the server compares it with the file before it starts anything. */
  private async ask(path: string, part: Part, context: Context | null): Promise<Started> {
    const { api } = this.nbpipe;
    if (!context) {
      return api.start({ path, ...part });
    }
    const { model } = context;
    const start = () => api.start({ path, ...part, content: contentOf(model) });
    // A shared document is saved by its server, and whether it is "dirty" is what anybody said last: the server waits for it.
    if (model.dirty && !model.collaborative) {
      await context.save();
    }
    try {
      return await start();
    } catch (error) {
      // Edits went on, or the server saves no shared document by itself.
      if (!isUnsaved(error) || !(model.dirty || model.collaborative)) {
        throw error;
      }
      await saved(context);
      return await start();
    }
  }

  private follow(path: string, run: string): void {
    const { trans } = this.nbpipe;
    const backend = this.nbpipe.backend(path);
    const id = Notification.emit(trans.__('%1 runs as %2', name(path), run), 'in-progress', {
      autoClose: false,
      actions: [
        { label: trans.__('Stop'), displayType: 'warn', callback: () => void this.stop(path, run) },
        this.logAction(path, run),
      ],
    });
    this.notes.set(key(path, run), id);
    const stop = backend.subscribe(({ rows }) => {
      const row = rows.find((item) => item.run === run);
      if (row) {
        this.tell(path, row);
        if (row.status !== 'running') {
          stop();
        }
      }
    });
    // It may have ended before the first look.
    void backend
      .rows([run])
      .then(([row]) => {
        if (row && row.status !== 'running' && this.notes.has(key(path, run))) {
          stop();
          this.tell(path, row);
        }
      })
      .catch((error: unknown) => {
        if (!(error instanceof Refused)) {
          throw error;
        }
      });
  }

  private tell(path: string, row: RunRow): void {
    const { trans } = this.nbpipe;
    const { run, status } = row;
    const id = this.notes.get(key(path, run));
    if (id === undefined) {
      return;
    }
    if (status === 'running') {
      const message = trans.__(
        '%1 runs as %2: %3 of %4 stages',
        name(path),
        run,
        row.done ?? 0,
        row.stages ?? 0,
      );
      Notification.update({ id, message });
      return;
    }
    this.notes.delete(key(path, run));
    const well = status === 'succeeded';
    const took = row.seconds ? ` ${trans.__('in %1', duration(row.seconds))}` : '';
    const where = row.broken?.length ? `: ${row.broken.join(', ')}` : '';
    const compare = {
      label: trans.__('Compare'),
      callback: () => void this.commands.execute(CommandIDs.compareRuns, { path, runs: [run] }),
    };
    Notification.update({
      id,
      message: `${run} ${statusWord(status, trans)}${took}${where}`,
      type: well ? 'success' : 'error',
      autoClose: well ? 6000 : 20_000,
      actions: [
        this.logAction(path, run),
        ...(this.commands.hasCommand(CommandIDs.compareRuns) ? [compare] : []),
      ],
    });
  }

  private logAction(path: string, run: string): Notification.IAction {
    return {
      label: this.nbpipe.trans.__('Open log'),
      callback: () => void this.commands.execute(CommandIDs.openLog, { path, run }),
    };
  }
}

function isUnsaved(error: unknown): boolean {
  return error instanceof Refused && error.code === 'not-saved';
}

/** Save, and wait a moment for it. Whether the file has everything now, the server says. */
async function saved(context: Context): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const enough = new Promise<void>((resolve) => (timer = setTimeout(resolve, SAVING)));
  // The lab has said in a dialog why it could not be saved.
  await Promise.race([context.save().catch(() => undefined), enough]);
  clearTimeout(timer);
}

function name(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function key(path: string, run: string): string {
  return `${path} ${run}`;
}
