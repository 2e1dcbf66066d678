import { Notification } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';

import type { StartQuestion } from '../shared/api';
import { problemText } from '../shared/backend';
import type { Notebooks } from './notebooks';
import type { INbpipe } from './tokens';

/** Milliseconds that a notification of something that went well is shown. */
const SHORT = 4000;

/**
 * Starts and stops runs, and says what came of it.
 *
 * Responsibilities: saves the notebook first, since a run reads the file; tells people, with the next step at hand. Runs
 * belong to the server: nothing here follows them.
 */
export class Running {
  constructor(
    private readonly nbpipe: INbpipe,
    private readonly notebooks: Notebooks,
    private readonly commands: CommandRegistry,
  ) {}

  /** The run that began; undefined where none did, which people were told. */
  async start(question: StartQuestion): Promise<string | undefined> {
    const { trans } = this.nbpipe;
    try {
      await this.notebooks.save(question.path);
      const { run } = await this.nbpipe.api.start(question);
      Notification.info(trans.__('%1 started', run), {
        autoClose: SHORT,
        actions: [this.openLog(question.path, run)],
      });
      void this.nbpipe.backend(question.path).look();
      return run;
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  async stop(path: string, run: string): Promise<void> {
    try {
      await this.nbpipe.api.stop(path, run);
    } catch (error) {
      this.failed(error);
    }
  }

  /** Do something, and say that it was done, or why not. */
  async tell(what: () => Promise<string>): Promise<void> {
    try {
      Notification.success(await what(), { autoClose: SHORT });
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    Notification.error(problemText(error), { autoClose: false });
  }

  private openLog(path: string, run: string): Notification.IAction {
    return {
      label: this.nbpipe.trans.__('Open log'),
      callback: () => void this.commands.execute('nbpipe:open-log', { path, run }),
    };
  }
}
