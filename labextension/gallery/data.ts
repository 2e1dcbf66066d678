import type { PipelineEdge, PipelineView } from '../src/shared/api';
import type { Marks } from '../src/shared/graph/marks';

const edge = (source: string, target: string, names: string[], kind: PipelineEdge['kind'] = 'data') => ({
  source,
  target,
  names,
  kind,
});

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
  params: [],
  profiles: {},
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
