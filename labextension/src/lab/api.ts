import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type * as answers from '../shared/api';
import { Refused } from '../shared/backend';
import { fixIn, reasonIn, refusalIn } from '../shared/serverWords';
import { ENGLISH, type Words } from '../shared/words';
import type { Query } from '../shared/types';
import { serverPath } from './serverPath';

type Asking = [method: string, resource: string, query: Asked, body?: object, signal?: AbortSignal];
type Asked = Record<string, string | number | boolean | readonly string[] | null | undefined>;

/**
 * The server's resources, `docs/formats/rest.md`, typed.
 *
 * Responsibilities: addresses, queries, and answers that are refusals as `Refused`. It must not know notebooks or views.
 */
export class Api {
  constructor(
    private readonly settings: ServerConnection.ISettings,
    private readonly trans: Words = ENGLISH,
  ) {}

  info = () => this.get<answers.Info>('info', {});
  pipeline = async (about: answers.NotebookQuestion, signal?: AbortSignal) => {
    const found = await this.post<answers.PipelineView>('pipeline', about, signal);
    for (const action of found.problems.flatMap(({ actions }) => actions)) {
      action.label = fixIn(this.trans, action.label);
    }
    return found;
  };
  plan = async (about: answers.PlanQuestion, signal?: AbortSignal) =>
    this.withReasons(await this.post<answers.PlanView>('plan', about, signal));
  suggest = (about: answers.NotebookQuestion) => this.post<answers.SuggestView>('suggest', about);

  runs = (path: string, query: Query) =>
    this.get<answers.RunsPage>('runs', {
      path,
      text: query.text,
      status: query.statuses,
      kind: query.kinds,
      where: query.where,
      sort: query.sort,
      descending: query.descending,
      offset: query.offset,
      limit: query.limit,
    });
  rows = (path: string, run: readonly string[]) => this.get<answers.RunRows>('rows', { path, run });
  curves = (path: string, run: readonly string[], metric: string) =>
    this.get<answers.Curves>('curves', { path, run, metric });
  diff = (path: string, a: string, b: string, part: readonly string[], everything: boolean) =>
    this.get<answers.DiffView>('diff', { path, a, b, part, everything });

  start = (question: answers.StartQuestion) => this.post<answers.Started>('runs', question);
  progress = async (path: string, run: string) =>
    this.withReasons(await this.get<answers.RunProgress>(at(run), { path }));
  details = async (path: string, run: string) =>
    this.withReasons(await this.get<answers.RunDetails>(at(run, 'details'), { path }));
  /** The details of a run as they were written: JSON. */
  detailsText = (path: string, run: string) => this.text('GET', at(run, 'details'), { path });
  log = (path: string, run: string, stage: string, offset: number, limit = 256_000) =>
    this.get<answers.LogChunk>(at(run, 'log'), { path, stage: stage || null, offset, limit });
  stop = (run: string, question: answers.StopQuestion) =>
    this.post<answers.Started>(at(run, 'stop'), question);
  release = (path: string, run: string, stage: string) =>
    this.post<answers.Released>(at(run, 'release'), { path, stage });
  checkout = (run: string, question: answers.CheckoutQuestion) =>
    this.post<answers.CheckedOut>(at(run, 'checkout'), question);
  promote = (run: string, question: answers.PromoteQuestion) =>
    this.post<Record<string, unknown>>(at(run, 'promote'), question);
  tag = (path: string, run: string, tags: Record<string, string | null>) =>
    this.post<answers.Tagged>(at(run, 'tag'), { path, tags });
  remove = (path: string, run: string) => this.ask<undefined>('DELETE', at(run), { path });

  targets = (path: string) => this.get<answers.Targets>('targets', { path });
  exporters = () => this.get<answers.Exporters>('exporters', {});
  exportTo = (question: answers.ExportQuestion) => this.post<answers.Exported>('export', question);

  /** What the server says in words that are known is said in the language of the lab. */
  private withReasons<T extends { stages: { reason?: string }[] }>(answer: T): T {
    for (const stage of answer.stages) {
      if (stage.reason) {
        stage.reason = reasonIn(this.trans, stage.reason);
      }
    }
    return answer;
  }

  private get<T>(resource: string, query: Asked): Promise<T> {
    return this.ask<T>('GET', resource, query);
  }

  private post<T>(resource: string, body: object, signal?: AbortSignal): Promise<T> {
    return this.ask<T>('POST', resource, {}, body, ...(signal ? [signal] : []));
  }

  private async ask<T>(...question: Asking): Promise<T> {
    const text = await this.text(...question);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  private async text(...[method, resource, query, body, signal]: Asking): Promise<string> {
    const words = new URLSearchParams();
    for (const [name, value] of Object.entries(onDisk(query))) {
      for (const one of Array.isArray(value) ? (value as readonly string[]) : [value]) {
        if (one !== null && one !== undefined && one !== '') {
          words.append(name, String(one));
        }
      }
    }
    const tail = words.size > 0 ? `?${words.toString()}` : '';
    const url = URLExt.join(this.settings.baseUrl, 'nbpipe/api', resource) + tail;
    const request: RequestInit = { method };
    if (body) {
      request.body = JSON.stringify(onDisk(body));
    }
    if (signal) {
      request.signal = signal;
    }
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, request, this.settings);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      throw new Refused(
        this.trans.__('The Jupyter server does not answer (%1)', said),
        this.trans.__('Is it still running?'),
      );
    }
    const text = await response.text();
    if (!response.ok) {
      throw refusal(response.status, text, this.trans);
    }
    return text;
  }
}

/** The server extension is not there: the package is installed in another environment than the server's, or switched off. */
export class Missing extends Refused {}

function refusal(status: number, text: string, trans: Words): Refused {
  let said: Partial<answers.ApiError> = {};
  try {
    said = JSON.parse(text) as Partial<answers.ApiError>;
  } catch {
    // A proxy, or the server itself, answered with a page.
  }
  if (status === 404 && said.code === undefined) {
    return new Missing(
      trans.__("nbpipe's server extension is missing"),
      trans.__('Install nbpipe where the Jupyter server runs: pip install nbpipe, then restart the server.'),
    );
  }
  return new Refused(
    said.message === undefined ? trans.__('The server answered %1', status) : refusalIn(trans, said.message),
    refusalIn(trans, said.fix ?? ''),
    said.code ?? '',
  );
}

/** The question with its path as the server has it. */
function onDisk<T extends { path?: unknown }>(question: T): T {
  const { path } = question;
  return typeof path === 'string' ? { ...question, path: serverPath(path) } : question;
}

function at(run: string, ...more: string[]): string {
  return ['runs', encodeURIComponent(run), ...more].join('/');
}
