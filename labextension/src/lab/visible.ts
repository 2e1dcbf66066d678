import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { MessageLoop, type Message } from '@lumino/messaging';
import type { Widget } from '@lumino/widgets';

const TELLING = ['after-show', 'after-hide', 'after-attach', 'before-detach'];

/** Tell when a widget comes into sight and when it goes out of it, as the tabs above it are changed; and once at first. */
export function whileVisible(widget: Widget, tell: (visible: boolean) => void): IDisposable {
  let told: boolean | undefined;
  let over = false;
  const look = (): void => {
    const visible = !over && !widget.isDisposed && widget.isVisible;
    if (visible !== told) {
      told = visible;
      tell(visible);
    }
  };
  const hook = (_: unknown, message: Message): boolean => {
    if (TELLING.includes(message.type)) {
      // A hook comes before the message has its effect.
      void Promise.resolve().then(() => (over ? undefined : look()));
    }
    return true;
  };
  MessageLoop.installMessageHook(widget, hook);
  look();
  return new DisposableDelegate(() => {
    MessageLoop.removeMessageHook(widget, hook);
    over = true;
    look();
  });
}

/** A model that asks only while somebody looks. */
export interface Looked {
  look(): () => void;
}

/** Look at a model while a widget is in sight. */
export function lookWhileVisible(widget: Widget, model: Looked): IDisposable {
  let stop: (() => void) | undefined;
  return whileVisible(widget, (visible) => {
    stop?.();
    stop = visible ? model.look() : undefined;
  });
}
