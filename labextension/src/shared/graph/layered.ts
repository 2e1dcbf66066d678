import type { Link, Tidy } from './links';
import { ordered } from './ordering';
import { netOf, type Net } from './ranks';

export interface Sizes {
  width: number;
  height: number;
  /** Between two ranks, and between two stages of one. */
  across: number;
  down: number;
}

export interface Point {
  x: number;
  y: number;
}

export interface Route {
  link: Link;
  path: string;
  /** Where its label goes. */
  middle: Point;
}

export interface Layout {
  /** Stage -> its left upper corner. */
  at: Map<string, Point>;
  /** Stages of each rank, from above. */
  ranks: string[][];
  routes: Route[];
  width: number;
  height: number;
}

/** Room that a bend keeps from what is beside it. */
const BEND = 12;
/** Bends pull their neighbours more than stages do, so that long edges are straight. */
const STRAIGHT = 4;
const ROUNDS = 12;

/** Stages from left to right in ranks. Sugiyama's method: rank, order, place; see docs/adr for why it is our own. */
export function layered(graph: Tidy, sizes: Sizes): Layout {
  const net = netOf(graph);
  const layers = ordered(net);
  const middle = placed(net, layers, sizes);
  const x = (vertex: number) => (net.rank[vertex] ?? 0) * (sizes.width + sizes.across);
  const at = new Map(
    graph.order.map((name, n) => [name, { x: x(n), y: (middle[n] ?? 0) - sizes.height / 2 }]),
  );
  const number = new Map(graph.order.map((name, n) => [name, n]));
  const routes = graph.links.map((link) =>
    route(link, vertices(net, number.get(link.source) ?? 0, number.get(link.target) ?? 0), {
      x,
      y: (vertex) => middle[vertex] ?? 0,
      width: sizes.width,
    }),
  );
  return {
    at,
    ranks: layers.map((layer) => layer.filter((n) => n < net.real).map((n) => graph.order[n] ?? '')),
    routes,
    width: layers.length * (sizes.width + sizes.across) - sizes.across,
    height: Math.max(0, ...middle.map((y, n) => y + (n < net.real ? sizes.height / 2 : 0))),
  };
}

/** The middle of each vertex, downward; the highest begins at 0. */
function placed(net: Net, layers: number[][], sizes: Sizes): number[] {
  const half = (vertex: number) => (vertex < net.real ? (sizes.height + sizes.down) / 2 : BEND / 2);
  const y: number[] = [];
  for (const layer of layers) {
    let top = 0;
    for (const vertex of layer) {
      y[vertex] = top + half(vertex);
      top += 2 * half(vertex);
    }
  }
  const both = net.up.map((above, n) => [...above, ...(net.down[n] ?? [])]);
  for (let round = 0; round < ROUNDS; round++) {
    const downward = round % 2 === 0;
    const near = round >= ROUNDS - 4 ? both : downward ? net.up : net.down;
    for (const layer of downward ? layers : [...layers].reverse()) {
      settle(layer, y, half, near, net.real);
    }
  }
  const top = Math.min(...y.map((middle, n) => middle - (n < net.real ? sizes.height / 2 : 0)));
  return y.map((middle) => middle - top);
}

/**
 * Moves one layer to where its neighbours want it, keeping order and distances: least squares under order constraints, which
 * pooling neighbours that would overlap solves exactly.
 */
function settle(
  layer: number[],
  y: number[],
  half: (vertex: number) => number,
  near: number[][],
  real: number,
): void {
  const pools: { sum: number; weight: number; count: number }[] = [];
  const offsets: number[] = [];
  let offset = 0;
  layer.forEach((vertex, n) => {
    const before = layer[n - 1];
    offset += before === undefined ? 0 : half(before) + half(vertex);
    offsets.push(offset);
    let sum = 0;
    let weight = 0;
    for (const other of near[vertex] ?? []) {
      const pull = vertex >= real || other >= real ? STRAIGHT : 1;
      sum += pull * (y[other] ?? 0);
      weight += pull;
    }
    // A vertex without neighbours stays below the one above it, and hardly resists.
    const above = pools.at(-1);
    const alone = above ? above.sum / above.weight : (y[vertex] ?? 0) - offset;
    const own = weight > 0 ? weight : 0.01;
    let pool = { sum: own * (weight > 0 ? sum / weight - offset : alone), weight: own, count: 1 };
    for (
      let last = pools.at(-1);
      last && last.sum / last.weight > pool.sum / pool.weight;
      last = pools.at(-1)
    ) {
      pools.pop();
      pool = { sum: last.sum + pool.sum, weight: last.weight + pool.weight, count: last.count + pool.count };
    }
    pools.push(pool);
  });
  let n = 0;
  for (const pool of pools) {
    for (const end = n + pool.count; n < end; n++) {
      y[layer[n] ?? 0] = pool.sum / pool.weight + (offsets[n] ?? 0);
    }
  }
}

function vertices(net: Net, source: number, target: number): number[] {
  const between: number[] = [];
  for (let r = (net.rank[source] ?? 0) + 1; r < (net.rank[target] ?? 0); r++) {
    between.push(net.bends[source]?.get(r) ?? source);
  }
  return [source, ...between, target];
}

interface Places {
  x: (vertex: number) => number;
  y: (vertex: number) => number;
  width: number;
}

/** Straight beside the stages of a rank, curved between ranks. */
function route(link: Link, through: number[], { x, y, width }: Places): Route {
  const [source = 0] = through;
  let path = `M${(x(source) + width).toFixed(1)} ${y(source).toFixed(1)}`;
  let from = source;
  through.slice(1).forEach((vertex, n) => {
    const start = x(from) + width;
    const bow = (x(vertex) - start) / 2;
    path += `C${(start + bow).toFixed(1)} ${y(from).toFixed(1)} ${(x(vertex) - bow).toFixed(1)} ${y(vertex).toFixed(1)} ${x(vertex).toFixed(1)} ${y(vertex).toFixed(1)}`;
    if (n < through.length - 2) {
      path += `H${(x(vertex) + width).toFixed(1)}`;
    }
    from = vertex;
  });
  const half = Math.floor((through.length - 1) / 2);
  const a = through[half] ?? source;
  const b = through[half + 1] ?? source;
  return { link, path, middle: { x: (x(a) + width + x(b)) / 2, y: (y(a) + y(b)) / 2 } };
}
