import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';

import type { Exported, Exporter, PipelineStage } from '../../shared/api';
import { problemText, Refused } from '../../shared/backend';
import type { Entry } from '../menu';
import { baseName } from '../notebooks';
import type { INbpipe } from '../tokens';
import { askForExport } from './dialog';
import { wishesToSend, type ExportRefusal, type ExportWishes } from './form';

const NOTHING: ExportWishes = {
  out: '',
  schedule: '',
  image: '',
  store: '',
  profile: '',
  trigger_files: '',
  trigger_datasets: '',
  logical_date: '',
  fresh: false,
  force: false,
};

/**
 * Writes pipelines for schedulers.
 *
 * Responsibilities: says which schedulers there are, asks what an export needs, tells where it is and what changed in it. It
 * must not write but by the server, which leaves alone what it did not write.
 */
export class Exports {
  /** Notebook and scheduler -> what was asked for last. */
  private readonly wishes = new Map<string, ExportWishes>();

  constructor(
    private readonly nbpipe: INbpipe,
    private readonly app: JupyterFrontEnd,
  ) {}

  /** A line for each scheduler; one that cannot be chosen, where there is none or the server does not say. */
  async entries(path: string): Promise<Entry[]> {
    const { trans } = this.nbpipe;
    try {
      const { exporters } = await this.nbpipe.api.exporters();
      if (exporters.length > 0) {
        return exporters.map((exporter) => ({
          label:
            exporter.proof === 'validated'
              ? trans.__('%1… (validated only)', exporter.title)
              : trans.__('%1…', exporter.title),
          enabled: path !== '',
          run: () => void this.start(path, exporter),
        }));
      }
      return [{ label: trans.__('No exporters are installed'), enabled: false, run: () => undefined }];
    } catch (error) {
      return [{ label: problemText(error), enabled: false, run: () => undefined }];
    }
  }

  /** The exporter of this name; null, and a word about it, where there is none. */
  async named(name: string): Promise<Exporter | null> {
    try {
      const { exporters } = await this.nbpipe.api.exporters();
      const found = exporters.find((exporter) => exporter.name === name);
      if (!found) {
        Notification.error(this.nbpipe.trans.__('There is no exporter “%1”.', name));
      }
      return found ?? null;
    } catch (error) {
      Notification.error(problemText(error));
      return null;
    }
  }

  /** Ask, write, tell. */
  async start(path: string, exporter: Exporter): Promise<Exported | undefined> {
    const { api, notebooks, trans } = this.nbpipe;
    const content = notebooks.content(path);
    const about = { path, ...(content ? { content } : {}) };
    const key = `${exporter.name} ${path}`;
    const pipeline = await api.pipeline(about).catch((error: unknown) => {
      Notification.error(problemText(error), { autoClose: false });
    });
    if (!pipeline) {
      return undefined;
    }
    const { stages } = pipeline;
    const write = async (wishes: ExportWishes): Promise<Exported | ExportRefusal> => {
      this.wishes.set(key, { ...wishes, force: false });
      try {
        return await api.exportTo({ ...about, to: exporter.name, ...wishesToSend(wishes) });
      } catch (error) {
        return refusalOf(error, stages);
      }
    };
    const written = await askForExport({
      exporter,
      name: baseName(path),
      folder: defaultFolder(path, exporter.name),
      profiles: Object.keys(pipeline.profiles),
      params: pipeline.params.map(({ name }) => name),
      wishes: this.wishes.get(key) ?? NOTHING,
      trans,
      write,
      onStage: (name) => {
        const stage = stages.find((one) => one.name === name);
        void notebooks.jump(path, stage?.ids[0] ?? '', stage?.cells[0]);
      },
    });
    notebooks.activateIfLost(path);
    if (written) {
      this.tell(path, exporter, written);
    }
    return written;
  }

  private tell(path: string, exporter: Exporter, written: Exported): void {
    const { trans } = this.nbpipe;
    const { commands } = this.app;
    const { folder, definition, changed } = written;
    const again = changed.some(({ status }) => status !== 'new');
    const moved = changed.filter(({ status }) => status !== 'same');
    const said = again
      ? moved.length > 0
        ? trans._n('%1 file changed', '%1 files changed', moved.length)
        : trans.__('nothing changed')
      : trans._n('%1 file', '%1 files', changed.length);
    const action = (label: string, command: string, args: Record<string, string>) =>
      commands.hasCommand(command) ? [{ label, callback: () => void commands.execute(command, args) }] : [];
    const text = trans.__('%1 for %2 is in %3: %4.', baseName(path), exporter.title, folder, said);
    Notification.success(text, {
      autoClose: 30_000,
      actions: [
        ...action(trans.__('Open'), 'docmanager:open', { path: definition }),
        ...action(trans.__('Show folder'), 'filebrowser:go-to-path', { path: folder }),
        {
          label: again ? trans.__('What changed') : trans.__('What it is'),
          callback: () => void this.showWritten(written),
        },
      ],
    });
  }

  private async showWritten(written: Exported): Promise<void> {
    const { writtenTab } = await import('./written');
    const tab = writtenTab(this.nbpipe, written, (path) => {
      void this.app.commands.execute('docmanager:open', { path });
    });
    this.app.shell.add(tab, 'main', { mode: 'tab-after' });
    this.app.shell.activateById(tab.id);
  }
}

/** Where the server writes it unless it is told another place. */
function defaultFolder(path: string, exporter: string): string {
  const stem = PathExt.basename(path, PathExt.extname(path));
  return PathExt.join(PathExt.dirname(path), 'exports', `${stem}-${exporter}`);
}

function refusalOf(error: unknown, stages: PipelineStage[]): ExportRefusal {
  if (!(error instanceof Refused)) {
    throw error;
  }
  // The server names it in quotes: stage 'train' (cell 7).
  const named = /stage '([^']+)'/.exec(error.message)?.[1] ?? '';
  return {
    message: error.message,
    fix: error.fix,
    stage: stages.some(({ name }) => name === named) ? named : '',
  };
}
