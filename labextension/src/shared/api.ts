/**
 * What the lab's server extension is asked and answers, `docs/formats/rest.md`. Runs, pages, rows, progress and diffs are those of
 * the widget, `types.ts`. Paths are paths of the contents manager; cells are counted from 1, and `id` is the cell's id in the
 * notebook, "" where it has none. Unknown fields are to be ignored.
 */
import type { Curve, Diff, Page, Progress, RunRow } from './types';

/** Any value of JSON: parameters may be lists and objects. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type Values = Record<string, Json>;
/** A notebook as nbformat has it. */
export type NotebookContent = Record<string, unknown>;

export type StageKind = 'stage' | 'check';
export type EdgeKind = 'data' | 'after' | 'file' | 'ambient' | 'observed';
export type ParamType =
  'int' | 'float' | 'str' | 'bool' | 'list' | 'dict' | 'none' | 'any' | 'choice' | 'computed';

/** GET info */
export interface Info {
  version: string;
  schema: number;
}

/** An answer with 4xx: what happened, and what to do next. */
export interface ApiError {
  code: string;
  message: string;
  fix: string;
}

export interface PipelineStage {
  name: string;
  kind: StageKind;
  cells: number[];
  ids: string[];
  options: Values;
  /** Name of a variable -> stage it comes from. */
  inputs: Record<string, string>;
  outputs: string[];
  params: string[];
  /** Files. */
  reads: string[];
  writes: string[];
}

export interface PipelineEdge {
  source: string;
  target: string;
  /** Variables, or files, it carries. */
  names: string[];
  kind: EdgeKind;
}

export interface PipelineParam {
  name: string;
  type: ParamType;
  default: Json;
  choices: Json[] | null;
  help: string;
  required: boolean;
  secret: boolean;
}

export type ActionKind = 'tag-cell' | 'untag-cell' | 'replace-source' | 'run-cell' | 'install';

/** A fix of one click. */
export interface ProblemAction {
  kind: ActionKind;
  label: string;
  cell: number | null;
  id: string;
  source: string | null;
}

export type Severity = 'error' | 'warning' | 'info';

export interface Problem {
  severity: Severity;
  code: string;
  message: string;
  fix: string;
  cell: number | null;
  id: string;
  line: number | null;
  stage: string;
  /** The variable, parameter, file or package it is about. */
  name: string;
  actions: ProblemAction[];
}

/** POST pipeline. A notebook with mistakes is no error: they are `problems`. */
export interface PipelineView {
  schema: number;
  name: string;
  version: string;
  number: number | null;
  stages: PipelineStage[];
  edges: PipelineEdge[];
  params: PipelineParam[];
  profiles: Record<string, Values>;
  problems: Problem[];
  /** Names of secrets; values never leave the server. */
  secrets: string[];
}

/** What POST pipeline, plan and suggest are about; without `content` the saved file is read. */
export interface NotebookQuestion {
  path: string;
  content?: NotebookContent;
}

/** A run, started or not: as the options of `nbpipe run` and `nbpipe plan`. */
export interface WhatToRun {
  params?: Values;
  /** A run whose parameters to take. */
  params_from?: string;
  profile?: string;
  only?: string | [string];
  from?: string;
  until?: string;
  fresh?: boolean;
  seed?: number;
}

export interface PlanQuestion extends NotebookQuestion, WhatToRun {}

export type PlanAction = 'hit' | 'run' | 'unknown';

export interface PlanStage {
  name: string;
  kind: StageKind;
  action: PlanAction;
  reason: string;
  /** Seconds it is expected to take. */
  expected: number | null;
  /** Run a cached result comes from. */
  from: string | null;
}

/** POST plan */
export interface PlanView {
  schema: number;
  /** The run that has everything already. */
  up_to_date: string | null;
  stages: PlanStage[];
  warnings: string[];
}

export interface SuggestedCell {
  cell: number;
  id: string;
  /** The magic line to put in front. */
  line: string;
  role: string;
  name: string;
  why: string;
}

/** POST suggest */
export interface SuggestView {
  schema: number;
  cells: SuggestedCell[];
  /** What the notebook would be. */
  pipeline: PipelineView;
  /** To be merged into the notebook's `metadata.nbpipe` when the proposal is taken. */
  metadata: Values;
  notes: string[];
}

/** Query of GET runs; `status`, `kind` and `where` may come several times. */
export interface RunsQuestion {
  path: string;
  text?: string;
  status?: string[];
  kind?: string[];
  where?: string[];
  sort?: string;
  descending?: boolean;
  offset?: number;
  limit?: number;
}

/** GET runs */
export type RunsPage = Page;
/** GET rows */
export interface RunRows {
  rows: RunRow[];
}
/** GET curves: run -> points */
export type Curves = Record<string, Curve>;
/** GET diff; `a` or `b` may be "now", the notebook as saved. */
export type DiffView = Diff;
/** GET runs/ID */
export type RunProgress = Progress;

/** POST runs: starts a run that outlives browser and server. */
export interface StartQuestion extends WhatToRun {
  path: string;
  /** What the editor shows: nothing is started while the file has other cells. */
  content?: NotebookContent;
  /** A target. */
  on?: string;
  jobs?: number;
  /** Go on at the cell that failed, where a target keeps the kernel. */
  continue?: boolean;
}

/** POST runs, POST runs/ID/stop */
export interface Started {
  run: string;
  status: string;
}

/** GET runs/ID/log */
export interface LogChunk {
  text: string;
  /** The offset to ask for next. */
  next: number;
  /** Nothing more comes: the run, or the stage, is over. */
  eof: boolean;
}

export interface Artifact {
  name: string;
  kind?: 'value' | 'file';
  type?: string;
  format?: string;
  digest?: string;
  size?: number | null;
  [key: string]: unknown;
}

/** The kernel of a failed stage, which its target keeps for the mended cell. */
export interface Kept {
  target: string;
  /** Number of the cell that failed. */
  cell: number;
  until: number;
  /** Bytes; 0 where nobody said. */
  memory: number;
  gpus: string[];
  /** What a run has to be asked for to go on there. */
  start: Omit<StartQuestion, 'path' | 'content'>;
}

/** POST runs/ID/release */
export interface Released {
  run: string;
  stage: string;
  /** Whether the kernel was there still. */
  ended: boolean;
}

export interface DetailStage {
  name: string;
  kind: StageKind;
  status: string;
  started: number | null;
  seconds: number | null;
  /** When it was ready to start, seconds since the epoch. */
  queued?: number | null;
  reason: string;
  key: string;
  metrics: Record<string, number>;
  failure: string | null;
  /** The user's own, where the code failed; else "". */
  traceback: string;
  /** Counts from 1; more where it was tried again. 0 where it did not begin. */
  attempt: number;
  warnings: string[];
  artifacts: Artifact[];
  kept?: Kept | null;
}

/** GET runs/ID/details */
export interface RunDetails {
  params: Values;
  /** Names of the parameters that the run was given. */
  given: string[];
  environment: Record<string, unknown>;
  stages: DetailStage[];
  /** It has an executed notebook, wherever that lies. */
  executed: boolean;
  /** Contents path of the executed notebook, where the lab shows it. */
  notebook: string | null;
  warnings: string[];
}

/** POST runs/ID/checkout: the notebook of that run, in a new file. */
export interface CheckedOut {
  path: string;
}

export interface CheckoutQuestion {
  path: string;
  /** The new file; beside the notebook where it is not given. */
  to?: string;
  /** With the outputs of the run. */
  executed?: boolean;
}

export interface StopQuestion {
  path: string;
  /** Kill the stages that run instead of asking them. */
  force?: boolean;
}

export interface PromoteQuestion {
  path: string;
  stage?: string;
  as: string;
  why?: string;
}

/** POST runs/ID/tag */
export interface Tagged {
  tags: Record<string, string>;
}

export type TargetState = 'ready' | 'unreachable' | 'unknown';

export interface Target {
  name: string;
  kind: string;
  state: TargetState;
  detail: string;
}

/** GET targets */
export interface Targets {
  targets: Target[];
}

export interface Exporter {
  name: string;
  title: string;
  /** Whether nbpipe's tests run what it writes on its scheduler, or only check the form of it. */
  proof: 'executed' | 'validated';
  /** What can start a run there besides people and clocks. */
  triggers: ('file' | 'dataset')[];
  /** A parameter can get the date of each run there. */
  logical_date: boolean;
}

/** GET exporters */
export interface Exporters {
  exporters: Exporter[];
}

/** POST export */
export interface ExportQuestion extends NotebookQuestion {
  to: string;
  params?: Values;
  profile?: string;
  schedule?: string;
  image?: string;
  trigger_files?: string[];
  trigger_datasets?: string[];
  /** A URL. */
  store?: string;
  /** A folder of the lab. */
  out?: string;
  /** The parameter that gets the date of each run. */
  logical_date?: string;
  /** Each run reuses nothing. */
  fresh?: boolean;
  force?: boolean;
}

export interface ExportChange {
  /** Inside the folder. */
  path: string;
  status: 'new' | 'changed' | 'same' | 'removed';
  /** Unified; '' where there is none to show. */
  diff: string;
}

/** What was written; contents paths. */
export interface Exported {
  folder: string;
  files: string[];
  definition: string;
  changed: ExportChange[];
  notes: string[];
}

/** Schema of the events that say that a run moved on. */
export const RUN_EVENT = 'https://nbpipe.dev/schemas/run/v1';

export interface RunEvent {
  /** Contents path of the project's folder. */
  project: string;
  run: string;
  status: string;
  stage?: string;
  rev: number;
}

export type StageState = 'fresh' | 'stale' | 'not run' | 'running' | 'failed' | 'unknown';

export interface StaleReason {
  kind: string;
  text: string;
  name: string;
}

export interface KernelStage {
  stage: string;
  kind: StageKind;
  state: StageState;
  reasons: StaleReason[];
  run: string[];
  cells: number[];
  started: number | null;
  seconds: number | null;
}

/** Which stages' variables are stale in one live kernel: `docs/formats/status.md`, over the comm `nbpipe.status`. */
export interface KernelStatus {
  schema: number;
  notebook: string;
  saved: number | null;
  stages: KernelStage[];
  run: string[];
  notes: string[];
}
