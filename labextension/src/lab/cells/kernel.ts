import type { ISessionContext } from '@jupyterlab/apputils';
import { KernelMessage, type Kernel } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';
import { Debouncer } from '@lumino/polling';
import { Signal, type ISignal } from '@lumino/signaling';

import type { KernelStatus, NotebookContent } from '../../shared/api';

const TARGET = 'nbpipe.status';
/** A burst of executions is one question. */
const SETTLE = 150;
const LOADS = /nbpipe|^\s*%%(?:params|setup|stage|check)\b/;

export interface KernelAnswer {
  /** null: there is no kernel, or nbpipe is not loaded in it. */
  status: KernelStatus | null;
  seen: number;
}

/** What a question is about. */
export interface Asking {
  content: () => NotebookContent;
  seen: () => number;
  /** Whether there is anything to ask about. */
  worth: () => boolean;
}

/**
 * Asks the notebook's kernel which stages are stale, over the comm `nbpipe.status`.
 *
 * Responsibilities: asks when executions have ended and when it is told to, one question at a time, and only an idle kernel.
 * It must not run code, and must not go on asking a kernel where nbpipe is not loaded.
 */
export class KernelQuestions {
  readonly answered: ISignal<this, KernelAnswer>;
  private readonly emitter = new Signal<this, KernelAnswer>(this);
  private readonly debouncer = new Debouncer(() => this.question(), SETTLE);
  private comm: Kernel.IComm | null = null;
  private refused = false;
  private seen = 0;

  constructor(
    private readonly session: ISessionContext,
    private readonly asking: Asking,
  ) {
    this.answered = this.emitter;
    session.iopubMessage.connect(this.listen);
    session.kernelChanged.connect(this.restart);
    session.statusChanged.connect(this.onStatus);
  }

  ask(): void {
    void this.debouncer.invoke();
  }

  dispose(): void {
    this.session.iopubMessage.disconnect(this.listen);
    this.session.kernelChanged.disconnect(this.restart);
    this.session.statusChanged.disconnect(this.onStatus);
    this.debouncer.dispose();
    if (this.comm && !this.comm.isDisposed) {
      this.comm.onClose = () => undefined;
      this.comm.close();
    }
    this.comm = null;
    Signal.clearData(this);
  }

  private readonly listen = (_: unknown, message: KernelMessage.IMessage): void => {
    if (KernelMessage.isExecuteInputMsg(message)) {
      if (this.refused && LOADS.test(message.content.code)) {
        this.refused = false;
      }
    } else if (KernelMessage.isStatusMsg(message) && message.content.execution_state === 'idle') {
      // Questions make a kernel busy, too: only the end of an execution leads to one.
      const parent = message.parent_header as Partial<KernelMessage.IHeader>;
      if (parent.msg_type === 'execute_request') {
        this.ask();
      }
    }
  };

  private readonly onStatus = (_: unknown, status: Kernel.Status): void => {
    if (status === 'restarting' || status === 'autorestarting' || status === 'dead') {
      this.restart();
    }
  };

  private readonly restart = (): void => {
    this.comm = null;
    this.refused = false;
    this.emitter.emit({ status: null, seen: this.seen });
  };

  private async question(): Promise<void> {
    const kernel = this.session.session?.kernel;
    if (!kernel || this.refused || kernel.status !== 'idle' || !this.asking.worth()) {
      return;
    }
    const comm = await this.opened(kernel);
    if (comm && !comm.isDisposed) {
      this.seen = this.asking.seen();
      comm.send({ kind: 'status', content: this.asking.content() } as JSONObject);
    }
  }

  private async opened(kernel: Kernel.IKernelConnection): Promise<Kernel.IComm | null> {
    if (this.comm && !this.comm.isDisposed) {
      return this.comm;
    }
    const comm = kernel.createComm(TARGET);
    if ('commsOverSubshells' in comm) {
      // A question waits its turn like a cell; a thread of its own would look while cells run.
      (comm as { commsOverSubshells: string }).commsOverSubshells = 'disabled';
    }
    comm.onClose = () => {
      this.comm = null;
      this.refused = true;
      this.emitter.emit({ status: null, seen: this.seen });
    };
    comm.onMsg = (message) => {
      const { kind, status } = message.content.data as { kind?: string; status?: unknown };
      if (kind === 'status') {
        this.emitter.emit({ status: status as KernelStatus, seen: this.seen });
      }
    };
    await comm.open().done;
    this.comm = comm.isDisposed ? null : comm;
    return this.comm;
  }
}
