/** View models as Python sends them; `docs/formats/view-models.md` and `docs/formats/diff.md` specify them. */

export type Scalar = string | number | boolean | null;

export interface RunRow {
  run: string;
  status: string;
  kind?: 'run' | 'trial';
  name?: string;
  version?: string;
  stage?: string;
  started?: number;
  seconds?: number | null;
  params?: Record<string, Scalar>;
  given?: string[];
  metrics?: Record<string, number>;
  tags?: Record<string, string>;
  user?: string;
  commit?: string;
  done?: number;
  stages?: number;
  broken?: string[];
  failure?: string;
}

export interface Query {
  text?: string;
  notebook?: string;
  statuses?: string[];
  kinds?: string[];
  where?: string[];
  sort?: string;
  descending?: boolean;
  offset?: number;
  limit?: number | null;
}

export interface Page {
  rows: RunRow[];
  total: number;
  offset: number;
  params: string[];
  metrics: string[];
  tags: string[];
  /** Metrics that have a sparkline. */
  curves?: string[];
  unknown?: string[];
  problems?: string[];
}

export interface StageRow {
  name: string;
  status: string;
  kind?: string;
  started?: number;
  seconds?: number;
  expected?: number | null;
  reason?: string;
  metrics?: Record<string, number>;
  failure?: string;
}

export interface Progress {
  row: RunRow;
  stages: StageRow[];
  warnings: string[];
  now: number;
}

/** What changed in the project since the last look; rows come along, so that a busy kernel need not be asked. */
export interface Change {
  rows: RunRow[];
  gone: boolean;
}

/** Points of a metric that was logged while the run went on: `[step, value]`. */
export type Curve = [number, number][];

export type ChangeKind = 'same' | 'changed' | 'added' | 'removed' | 'renamed';

export interface Side {
  label: string;
  kind: string;
  name?: string;
  version?: string;
  number?: number;
  status?: string;
  started?: number;
  seconds?: number;
  stage?: string;
}

export interface Hunk {
  a_start?: number;
  a_count?: number;
  b_start?: number;
  b_count?: number;
  a_cell?: number;
  a_line?: number;
  b_cell?: number;
  b_line?: number;
  lines: string[];
}

export interface StageDiff {
  name: string;
  change?: ChangeKind;
  kind?: string;
  a?: string;
  b?: string;
  moved?: boolean;
  differs?: string[];
  reasons?: string[];
  a_status?: string;
  b_status?: string;
}

export interface CodeDiff {
  unit: string;
  name: string;
  change?: ChangeKind;
  meaning?: string;
  stages?: string[];
  lines_added?: number;
  lines_removed?: number;
  hunks?: Hunk[];
  a?: { name?: string; text?: string };
  b?: { name?: string; text?: string };
}

export interface ParamSide {
  value?: unknown;
  given?: boolean;
  type?: string;
  help?: string;
  source?: string;
}

export interface ParamDiff {
  name: string;
  change?: ChangeKind;
  a?: ParamSide | null;
  b?: ParamSide | null;
  stages?: string[];
  reason?: string;
}

export interface MetricDiff {
  name: string;
  stage?: string;
  change?: ChangeKind;
  a?: number | null;
  b?: number | null;
  delta?: number | null;
  relative?: number | null;
  curve?: { a?: Curve; b?: Curve };
}

export interface EnvironmentDiff {
  group: string;
  name: string;
  change?: ChangeKind;
  a?: string | null;
  b?: string | null;
  hunks?: Hunk[];
}

export interface Stored {
  format?: string;
  type?: string;
  size?: number;
  shape?: number[];
  dtype?: string;
  rows?: number;
  columns?: number;
  preview?: string;
}

export interface Figures {
  dtype?: string;
  count?: number;
  missing?: number;
  distinct?: number;
  min?: unknown;
  max?: unknown;
  mean?: number | null;
  std?: number | null;
}

export interface FieldDiff {
  name: string;
  change?: ChangeKind;
  a?: Figures | null;
  b?: Figures | null;
  a_bins?: number[];
  b_bins?: number[];
  shift?: number | null;
}

export interface DataDiff {
  name: string;
  stage?: string;
  change?: ChangeKind;
  a?: Stored | null;
  b?: Stored | null;
  fields?: FieldDiff[];
  more_fields?: number;
  hunks?: Hunk[];
  note?: string;
}

export interface FileDiff {
  path: string;
  change?: ChangeKind;
  role?: string;
  stages?: string[];
  a?: { digest?: string; size?: number } | null;
  b?: { digest?: string; size?: number } | null;
  /** Of small texts that stages wrote. */
  hunks?: Hunk[];
}

export interface Picture {
  mime?: string;
  size?: number;
  width?: number;
  height?: number;
  data?: string | null;
}

export interface OutputDiff {
  stage?: string;
  a_cell?: number;
  b_cell?: number;
  change?: ChangeKind;
  kind?: string;
  mime?: string;
  hunks?: Hunk[];
  table?: {
    columns?: { name: string; change?: ChangeKind }[];
    rows?: { key: string; change?: ChangeKind; a?: (string | null)[]; b?: (string | null)[] }[];
    cells_changed?: number;
    more_rows?: number;
  };
  image?: {
    a?: Picture | null;
    b?: Picture | null;
    pixels?: number;
    share?: number;
    mask?: string | null;
  };
  note?: string;
}

export interface Diff {
  schema: number;
  a: Side;
  b: Side;
  parts: string[];
  same?: boolean;
  counts?: Record<string, number>;
  stages?: StageDiff[];
  code?: CodeDiff[];
  params?: ParamDiff[];
  metrics?: MetricDiff[];
  environment?: EnvironmentDiff[];
  data?: DataDiff[];
  files?: FileDiff[];
  outputs?: OutputDiff[];
  notes?: { text: string; part?: string }[];
}
