import type { DetailStage, LogChunk, PipelineEdge, PipelineView, RunDetails } from '../src/shared/api';
import type { Marks } from '../src/shared/graph/marks';

const edge = (source: string, target: string, names: string[], kind: PipelineEdge['kind'] = 'data') => ({
  source,
  target,
  names,
  kind,
});

const param = { choices: null, required: false, secret: false };

export const DIGITS: PipelineView = {
  schema: 1,
  name: 'digits',
  version: '3f9c2e1',
  number: 7,
  stages: (['load', 'prepare', 'baseline', 'train', 'evaluate', 'good_enough', 'report'] as const).map(
    (name, n) => ({
      name,
      kind: name === 'good_enough' ? 'check' : 'stage',
      cells: [n + 2],
      ids: [`cell-${n}`],
      options: {},
      inputs: {},
      outputs: [],
      params: [],
      reads: [],
      writes: [],
    }),
  ),
  edges: [
    edge('load', 'prepare', ['X', 'y']),
    edge('prepare', 'baseline', ['X_train', 'y_train']),
    edge('prepare', 'train', ['X_train', 'y_train', 'scaler']),
    edge('train', 'evaluate', ['model']),
    edge('prepare', 'evaluate', ['X_test', 'y_test']),
    edge('baseline', 'evaluate', ['dummy']),
    edge('evaluate', 'good_enough', ['scores']),
    edge('evaluate', 'report', ['scores', 'figure']),
    edge('train', 'report', ['model.pt'], 'file'),
    edge('good_enough', 'report', [], 'after'),
  ],
  params: [
    { name: 'epochs', type: 'int', default: 10, help: 'how often the data is seen', ...param },
    { name: 'lr', type: 'float', default: 0.001, help: '', ...param },
    { name: 'model', type: 'choice', default: 'cnn', help: '', ...param, choices: ['cnn', 'mlp'] },
    { name: 'layers', type: 'list', default: [64, 32], help: 'widths of the hidden layers', ...param },
    { name: 'augment', type: 'bool', default: true, help: '', ...param },
    { name: 'data', type: 'str', default: null, help: '', ...param, required: true },
  ],
  profiles: { smoke: { epochs: 1, layers: [8] } },
  problems: [],
  secrets: [],
};

export const MARKS: Marks = {
  load: { state: 'cached', reason: 'from r41' },
  prepare: { state: 'succeeded', seconds: 3.2 },
  baseline: { state: 'succeeded', seconds: 0.4 },
  train: { state: 'running', started: Date.now() / 1000 - 41, expected: 68, reason: 'lr 0.001 → 0.01' },
  evaluate: { state: 'stale', expected: 2, reason: 'cell 9 line 3 changed', errors: 1 },
  good_enough: { state: 'waiting' },
  report: { state: 'failed', seconds: 1.1, reason: "KeyError: 'figure'" },
};

/** A pipeline of `count` stages, each with up to three sources not far above it. */
export function many(count: number): {
  stages: { name: string; kind: 'stage' | 'check' }[];
  edges: PipelineEdge[];
} {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const stages = Array.from({ length: count }, (_, n) => ({
    name: `stage_${n}`,
    kind: n % 9 === 8 ? ('check' as const) : ('stage' as const),
  }));
  const edges = stages.flatMap((stage, n) =>
    n < 6
      ? []
      : Array.from({ length: 1 + Math.floor(random() * 2.4) }, () =>
          edge(`stage_${Math.max(0, n - 1 - Math.floor(random() * random() * 24))}`, stage.name, ['df']),
        ),
  );
  return { stages, edges };
}

const T0 = Date.now() / 1000 - 75;
const stage = (name: string, status: string, more: Partial<DetailStage> = {}): DetailStage => ({
  name,
  kind: name === 'good_enough' ? 'check' : 'stage',
  status,
  started: null,
  seconds: null,
  reason: '',
  key: '3f9c2e1a77',
  metrics: {},
  failure: null,
  traceback: '',
  attempt: 1,
  warnings: [],
  artifacts: [],
  ...more,
});

export const DETAILS: RunDetails = {
  params: { epochs: 10, lr: 0.01, model: 'cnn', layers: [64, 32], augment: true },
  given: ['lr'],
  environment: {},
  executed: true,
  stages: [
    stage('load', 'cached', { started: T0, seconds: 0.02, reason: 'from r41' }),
    stage('prepare', 'succeeded', { started: T0 + 0.3, seconds: 3.2, reason: 'first run' }),
    stage('baseline', 'succeeded', {
      started: T0 + 3.6,
      seconds: 11,
      reason: '`X_train` changed',
      metrics: { acc: 0.71 },
    }),
    stage('train', 'succeeded', {
      queued: T0 + 3.6,
      started: T0 + 6,
      seconds: 61,
      reason: '`lr` 0.001 → 0.01',
      metrics: { loss: 0.2134, acc: 0.921 },
      artifacts: [{ name: 'model.pt', size: 1_234_567 }],
    }),
    stage('evaluate', 'failed', {
      kept: {
        target: 'gpu',
        cell: 9,
        until: 4_102_444_800,
        memory: 1_234_567_890,
        gpus: ['0'],
        start: { continue: true, on: 'gpu' },
      },
      started: T0 + 67.2,
      seconds: 1.1,
      reason: 'cell 9 line 3 changed',
      failure: "KeyError: 'figure'\n  cell 9, line 3: fig = figures['figure']",
    }),
    stage('good_enough', 'skipped', { reason: 'evaluate failed' }),
  ],
  notebook: null,
  warnings: ['baseline printed 3,000 lines'],
};

export const BASELINE = {
  run: 'r38',
  params: { epochs: 10, lr: 0.001, model: 'cnn', layers: [64, 32] },
  metrics: { acc: 0.914, loss: 0.2601 },
};

const curve = (height: number) =>
  Array.from({ length: 40 }, (_, n): [number, number] => [
    n,
    height * (1 - Math.exp(-n / 9)) + Math.sin(n) / 90,
  ]);
export const CURVES = {
  acc: { r43: curve(0.92), r38: curve(0.9) },
  loss: { r43: curve(-0.8), r38: curve(-0.7) },
};

const LOG = Array.from({ length: 3000 }, (_, n) =>
  n % 9 === 0
    ? `\x1b[32mepoch ${n / 9}\x1b[0m  \x1b[1mloss\x1b[0m ${(2 / (n + 1)).toFixed(4)}  \x1b[36mlr\x1b[0m 0.01`
    : n % 97 === 0
      ? '\x1b[33mUserWarning:\x1b[0m the learning rate is \x1b[38;5;208mhigh\x1b[0m'
      : n % 211 === 0
        ? '\x1b[41;97m ERROR \x1b[0m \x1b[31mout of patience\x1b[0m'
        : `step ${n} of 3000  \x1b[2mbatch ${n % 64}\x1b[22m`,
).join('\n');

export const readLog = (_stage: string, offset: number): Promise<LogChunk> =>
  Promise.resolve({ text: LOG.slice(offset), next: LOG.length, eof: true });
