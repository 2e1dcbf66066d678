import { expect, test } from 'vitest';

import { many } from '../gallery/data';
import { lanesOf } from '../src/shared/graph/lanes';
import { layered } from '../src/shared/graph/layered';
import { tidy, type Link } from '../src/shared/graph/links';
import { crossings, ordered } from '../src/shared/graph/ordering';
import { netOf } from '../src/shared/graph/ranks';

const SIZES = { width: 100, height: 40, across: 60, down: 10 };

/** `a>b a>c`, with the stages in the order of the alphabet. */
function graph(text: string) {
  const edges = text.split(' ').map((pair): Link => {
    const [source = '', target = ''] = pair.split('>');
    return { source, target, names: [], kind: 'data' };
  });
  return tidy([...new Set(edges.flatMap((edge) => [edge.source, edge.target]))].sort(), edges);
}

test('double edges are joined, and what leads nowhere or round is left out', () => {
  const link = (source: string, target: string, names: string[], kind: Link['kind'] = 'data') => ({
    source,
    target,
    names,
    kind,
  });
  const { order, links } = tidy(
    ['b', 'a', 'c'],
    [
      link('a', 'b', ['x']),
      link('a', 'b', ['y', 'x'], 'file'),
      link('a', 'a', ['z']),
      link('a', 'gone', ['z']),
      link('b', 'c', []),
      link('c', 'a', []),
    ],
  );
  expect(order).toEqual(['b', 'c', 'a']);
  expect(links.map((one) => `${one.source}>${one.target}`)).toEqual(['b>c', 'c>a']);
  expect(tidy(['a', 'b'], [link('a', 'b', ['x']), link('a', 'b', ['y'], 'file')]).links).toEqual([
    link('a', 'b', ['x', 'y']),
  ]);
});

test('a stage stands right of all it needs, and a source beside what it gives to', () => {
  const { at } = layered(graph('a>b b>c a>c d>c'), SIZES);
  const x = (name: string) => at.get(name)?.x;
  expect([x('a'), x('b'), x('c'), x('d')]).toEqual([0, 160, 320, 160]);
});

test('stages of a rank never overlap, and a chain is straight', () => {
  const { at, ranks } = layered(
    tidy(
      many(200).stages.map((stage) => stage.name),
      many(200).edges,
    ),
    SIZES,
  );
  for (const names of ranks) {
    const ys = names.map((name) => at.get(name)?.y ?? 0);
    ys.slice(1).forEach((y, n) => expect(y - (ys[n] ?? 0)).toBeGreaterThan(49.99));
  }
  const chain = layered(graph('a>b b>c c>d'), SIZES);
  expect(new Set([...chain.at.values()].map((point) => point.y.toFixed(3))).size).toBe(1);
});

test('a stage that stands alone keeps near the others', () => {
  const { stages, edges } = many(200);
  const { at, ranks } = layered(
    tidy(
      stages.map((stage) => stage.name),
      edges,
    ),
    SIZES,
  );
  const rank = ranks.find((names) => names.includes('stage_5')) ?? [];
  expect(edges.some((edge) => [edge.source, edge.target].includes('stage_5'))).toBe(false);
  const above = rank[rank.indexOf('stage_5') - 1] ?? '';
  expect((at.get('stage_5')?.y ?? 0) - (at.get(above)?.y ?? 0)).toBeCloseTo(50);
});

test('edges do not cross where they need not', () => {
  const net = netOf(graph('a>f b>e c>d d>g e>h f>i'));
  expect(crossings(net, ordered(net))).toBe(0);
});

test('two hundred stages are laid out in less than 50 ms', () => {
  const { stages, edges } = many(200);
  const names = stages.map((stage) => stage.name);
  const times = Array.from({ length: 12 }, () => {
    const start = performance.now();
    layered(tidy(names, edges), SIZES);
    return performance.now() - start;
  });
  expect(Math.min(...times)).toBeLessThan(50);
});

test('a wire has its lane for itself, down to the last stage that needs it', () => {
  const { stages, edges } = many(60);
  const { lane, wires, lanes } = lanesOf(
    tidy(
      stages.map((stage) => stage.name),
      edges,
    ),
  );
  for (const wire of wires) {
    for (let row = wire.from.row + 1; row < wire.to.row; row++) {
      expect(lane[row]).not.toBe(wire.from.lane);
    }
  }
  expect(lanes).toBe(Math.max(...lane) + 1);
});

test('a chain takes one lane', () => {
  expect(lanesOf(graph('a>b b>c c>d')).lanes).toBe(1);
});
