import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';

import type { Exported, Exporter } from '../../shared/api';
import { FormDialog } from '../formDialog';
import { ExportForm, type ExportRefusal, type ExportWishes } from './form';

interface Asked {
  exporter: Exporter;
  /** Name of the notebook. */
  name: string;
  /** Where it is written unless another place is named. */
  folder: string;
  profiles: string[];
  params: string[];
  wishes: ExportWishes;
  trans: TranslationBundle;
  /** Writes it, or says why not. */
  write: (wishes: ExportWishes) => Promise<Exported | ExportRefusal>;
  /** Show a stage; the dialog is closed. */
  onStage: (stage: string) => void;
}

/** Ask for what an export needs, until it is written; undefined where nobody wants one. */
export async function askForExport(asked: Asked): Promise<Exported | undefined> {
  const { exporter, name, folder, profiles, params, wishes, trans, write, onStage } = asked;
  let written: Exported | undefined;
  const body = ReactWidget.create(
    <ExportForm
      exporter={exporter}
      folder={folder}
      profiles={profiles}
      params={params}
      wishes={wishes}
      trans={trans}
      onSubmit={async (now) => {
        const answer = await write(now);
        if ('fix' in answer) {
          return answer;
        }
        written = answer;
        dialog.resolve();
        return undefined;
      }}
      onStage={(stage) => {
        dialog.reject();
        onStage(stage);
      }}
      onCancel={() => dialog.reject()}
    />,
  );
  body.addClass('nbp');
  body.addClass('nbp-Dialog');
  body.addClass('nbp-ExportDialog');
  const dialog = new FormDialog({
    title: trans.__('Export %1 for %2', name, exporter.title),
    body,
    // The form has its own; the lab wants one for Escape.
    buttons: [Dialog.cancelButton()],
    focusNodeSelector: 'input',
  });
  await dialog.launch();
  return written;
}
