import { Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';

import { problemText } from '../../shared/backend';
import { showMenu, type Entry } from '../menu';
import { moreEntries, runEntries, runMenuEntries, stageEntries } from './entries';
import type { Part } from '../runs';
import { targetEntries } from '../targets';
import { parseExactly, type Exact } from './literals';
import type { PanelModel } from './model';
import { askForParams } from './params';
import { restoreParams } from './restoring';

/**
 * What the panel's buttons and menus do.
 *
 * Responsibilities: opens views by their commands, asks people where something cannot be undone, says what was done. What
 * stands in the menus is in `entries.ts`.
 */
export class Actions {
  constructor(
    readonly model: PanelModel,
    private readonly commands: CommandRegistry,
  ) {}

  has(command: string): boolean {
    return this.commands.hasCommand(command);
  }

  command(id: string, args: Record<string, string | readonly string[]> = {}): void {
    if (this.has(id)) {
      void this.commands.execute(id, args);
    }
  }

  compare(runs: readonly string[]): void {
    const { path, store } = this.model.get();
    this.command('nbpipe:compare-runs', { path, runs, baseline: store?.get().baseline ?? '' });
  }

  openLog(run: string): void {
    this.command('nbpipe:open-log', { path: this.model.get().path, run });
  }

  runEntries(): Entry[] {
    const { nbpipe } = this.model;
    const { path } = this.model.get();
    return runEntries(
      this,
      targetEntries(nbpipe, path, (on) => void this.model.start(on)),
    );
  }

  moreEntries(): Entry[] {
    return moreEntries(this, this.exportEntries());
  }

  runMenuOf(run: string): Entry[] {
    return runMenuEntries(this, run, this.exportEntries());
  }

  runMenu(run: string, place: { x: number; y: number }): void {
    showMenu(this.runMenuOf(run), place);
  }

  stageMenu(stage: string, place: { x: number; y: number }): void {
    const { trans } = this.model.nbpipe;
    const start = (part: Part) => void this.model.start(part);
    showMenu(
      stageEntries(trans, stage, start, (name) => this.model.jump(name)),
      place,
    );
  }

  /** Ask for the parameters, then run. */
  async runWithParams(): Promise<void> {
    const { pipeline } = this.model.get();
    const chosen = pipeline ? await askForParams(pipeline, this.model.nbpipe.trans) : undefined;
    if (chosen) {
      await this.model.start(chosen);
    }
  }

  async restoreParams(run: string): Promise<void> {
    const { path, pipeline } = this.model.get();
    const { api, notebooks, trans } = this.model.nbpipe;
    await this.tell(async () => {
      const { params } = parseExactly(await api.detailsText(path, run)) as { params: Record<string, Exact> };
      const { set, left } = restoreParams(notebooks.find(path), pipeline, params);
      const said = trans._n('%1 parameter set as in %2', '%1 parameters set as in %2', set.length, run);
      return left.length > 0 ? `${said}. ${trans.__('Not set: %1', left.join(', '))}` : said;
    });
  }

  /** The notebook of a run in a new file, as it was written or as it was run. */
  async checkOut(run: string, executed = false): Promise<void> {
    const { path } = this.model.get();
    const { api, trans } = this.model.nbpipe;
    await this.tell(async () => {
      const made = await api.checkout(run, { path, executed });
      this.openFile(made.path);
      return trans.__('The notebook of %1 is %2', run, made.path);
    });
  }

  openFile(path: string): void {
    void this.commands.execute('docmanager:open', { path });
  }

  async promote(run: string): Promise<void> {
    const { path } = this.model.get();
    const { api, trans } = this.model.nbpipe;
    const { value } = await InputDialog.getText({
      title: trans.__('Promote the model of %1', run),
      label: trans.__('as'),
      text: 'champion',
      okLabel: trans.__('Promote'),
    });
    if (value) {
      await this.tell(async () => {
        await api.promote(run, { path, as: value });
        return trans.__('%1 is %2 now', run, value);
      });
    }
  }

  /** End the kernel that a stage of a run has left at its target. */
  async release(run: string, stage: string): Promise<void> {
    const { path } = this.model.get();
    const { api, trans } = this.model.nbpipe;
    await this.tell(async () => {
      const { ended } = await api.release(path, run, stage);
      return ended
        ? trans.__('The kernel of %1 has ended', stage)
        : trans.__('The kernel of %1 had ended already', stage);
    });
  }

  async remove(run: string): Promise<void> {
    const { path } = this.model.get();
    const { api, trans } = this.model.nbpipe;
    const { button } = await showDialog({
      title: trans.__('Delete %1?', run),
      body: trans.__('Its parameters, metrics, log and outputs are gone then. This cannot be undone.'),
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Delete') })],
    });
    if (button.accept) {
      await this.tell(async () => {
        await api.remove(path, run);
        this.model.forget(run);
        return trans.__('%1 deleted', run);
      });
    }
  }

  /** The schedulers that this notebook can be exported to. */
  exportEntries(): Promise<Entry[]> {
    return this.model.nbpipe.exports.entries(this.model.get().path);
  }

  /** Do something, and say that it was done, or why not. */
  private async tell(what: () => Promise<string>): Promise<void> {
    try {
      Notification.success(await what(), { autoClose: 5000 });
    } catch (error) {
      Notification.error(problemText(error), { autoClose: false });
    }
  }
}
