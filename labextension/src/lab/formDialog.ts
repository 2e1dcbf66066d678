import { Dialog } from '@jupyterlab/apputils';

/** A dialog whose body is a form: Enter is the form's. */
export class FormDialog extends Dialog<unknown> {
  protected override _evtKeydown(event: KeyboardEvent): void {
    if (event.key !== 'Enter') {
      super._evtKeydown(event);
    }
  }
}
