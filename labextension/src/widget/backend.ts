import { Refused, type Backend } from '../shared/backend';
import type { Change, Curve, Diff, Page, Progress, Query, RunRow } from '../shared/types';

/** What anywidget gives a view of its model. */
export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, listener: (content: unknown) => void): void;
  off(event: string, listener: (content: unknown) => void): void;
}

interface Answer {
  id?: string;
  ok?: unknown;
  error?: { message: string; fix?: string };
  kind?: string;
}

interface Waiting {
  give: (value: unknown) => void;
  refuse: (reason: Refused) => void;
}

/** Milliseconds between two signs of life: the kernel stops looking after the runs without them. */
const ALIVE = 120_000;

/** Asks the kernel by custom messages: each carries an id, and its answer the same. */
export class KernelBackend implements Backend {
  private readonly waiting = new Map<string, Waiting>();
  private readonly listeners = new Set<(change: Change) => void>();
  private readonly timer: ReturnType<typeof setInterval>;
  private last = 0;
  /** Two views of one model hear each other's answers: their ids differ. */
  private readonly own = Math.random().toString(36).slice(2);

  constructor(private readonly model: Model) {
    model.on('msg:custom', this.hear);
    model.send({ kind: 'open' });
    this.timer = setInterval(() => model.send({ kind: 'open' }), ALIVE);
  }

  dispose(): void {
    clearInterval(this.timer);
    this.model.off('msg:custom', this.hear);
    this.model.send({ kind: 'close' });
  }

  page = (query: Query) => this.ask('page', { ...query }) as Promise<Page>;
  rows = (runs: string[]) => this.ask('rows', { runs }) as Promise<RunRow[]>;
  curves = (runs: string[], metric: string) =>
    this.ask('curves', { runs, metric }) as Promise<Record<string, Curve>>;
  progress = (run: string) => this.ask('progress', { run }) as Promise<Progress>;
  diff = (a: string, b: string, parts: string[], everything: boolean) =>
    this.ask('diff', { a, b, parts, everything }) as Promise<Diff>;

  subscribe(listener: (change: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private ask(kind: string, body: Record<string, unknown>): Promise<unknown> {
    this.last += 1;
    const id = `${this.own}-${this.last}`;
    return new Promise((give, refuse) => {
      this.waiting.set(id, { give, refuse });
      this.model.send({ id, kind, body });
    });
  }

  private readonly hear = (content: unknown): void => {
    const answer = content as Answer;
    if (answer.kind === 'changed') {
      this.listeners.forEach((listener) => listener(content as Change));
      return;
    }
    const waiting = answer.id === undefined ? undefined : this.waiting.get(answer.id);
    if (!waiting || answer.id === undefined) {
      return;
    }
    this.waiting.delete(answer.id);
    if (answer.error) {
      waiting.refuse(new Refused(answer.error.message, answer.error.fix));
    } else {
      waiting.give(answer.ok);
    }
  };
}
