import { Notification } from '@jupyterlab/apputils';
import type { ISessionContext } from '@jupyterlab/apputils';
import { KernelMessage } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { pipLine } from './pip';

/** Lines of what pip said that are shown. */
const LAST = 3;

/**
 * Install packages in the environment of the notebook's kernel, and say how it goes. Whether they were. Where there is no
 * kernel, or they are no plain names, the line is copied instead, and that is said.
 */
export async function install(
  session: ISessionContext,
  packages: string,
  trans: TranslationBundle,
): Promise<boolean> {
  const kernel = session.session?.kernel;
  const line = pipLine(packages);
  if (!kernel || line === null) {
    await copy(line ?? packages, trans);
    return false;
  }
  const id = Notification.emit(trans.__('Installing %1 …', packages), 'in-progress', { autoClose: false });
  const said: string[] = [];
  const future = kernel.requestExecute({ code: line, store_history: false, allow_stdin: false });
  future.onIOPub = (message) => {
    if (KernelMessage.isStreamMsg(message)) {
      said.push(...message.content.text.split('\n').filter((text) => text.trim()));
    }
  };
  // Without an answer, the kernel ended or was started again meanwhile.
  const status = await future.done.then(
    ({ content }) => content.status,
    (error: unknown) => void said.push(error instanceof Error ? error.message : String(error)),
  );
  // pip's own failure is no error of the magic: only what it says tells.
  const failed = status !== 'ok' || said.some((text) => text.startsWith('ERROR:'));
  Notification.update({
    id,
    message: failed
      ? trans.__('%1 was not installed: %2', packages, said.slice(-LAST).join(' '))
      : trans.__(
          '%1 is installed. A package that was imported before is the new one after a restart.',
          packages,
        ),
    type: failed ? 'error' : 'success',
    autoClose: failed ? false : 8000,
    actions: failed ? [{ label: trans.__('Copy the line'), callback: () => void copy(line, trans) }] : [],
  });
  return !failed;
}

async function copy(line: string, trans: TranslationBundle): Promise<void> {
  try {
    await navigator.clipboard.writeText(line);
    Notification.info(trans.__('Copied, to be run in a cell or a terminal: %1', line), { autoClose: 10_000 });
  } catch {
    // Browsers refuse it where the page is not served by https or from this machine.
    Notification.info(trans.__('To be run in a cell or a terminal: %1', line), { autoClose: false });
  }
}
