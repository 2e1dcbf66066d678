import { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';

import type { PipelineView } from '../../shared/api';
import { ParamsForm } from '../../shared/ParamsForm';
import { FormDialog } from '../formDialog';
import type { Part } from '../runs';

/** Ask for the parameters of a run; undefined where nobody wants one. */
export async function askForParams(
  pipeline: PipelineView,
  trans: TranslationBundle,
): Promise<Part | undefined> {
  let chosen: Part | undefined;
  const body = ReactWidget.create(
    <ParamsForm
      params={pipeline.params}
      profiles={pipeline.profiles}
      action={trans.__('Run')}
      onSubmit={({ params, profile }) => {
        chosen = { params, ...(profile ? { profile } : {}) };
        dialog.resolve();
      }}
      onCancel={() => dialog.reject()}
    />,
  );
  body.addClass('nbp');
  body.addClass('nbp-Dialog');
  const dialog = new FormDialog({
    title: trans.__('Run %1 with parameters', pipeline.name),
    body,
    buttons: [Dialog.cancelButton()],
    focusNodeSelector: 'input, select, textarea',
  });
  await dialog.launch();
  return chosen;
}
