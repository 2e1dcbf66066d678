import type { Net } from './ranks';

/** Sweeps that may go by without fewer crossings. */
const PATIENCE = 4;

/** The vertices of each rank, ordered so that few edges cross: barycentres up and down, the best order seen is kept. */
export function ordered(net: Net): number[][] {
  let layers = first(net);
  let best = layers;
  let fewest = crossings(net, layers);
  for (let n = 0, since = 0; since < PATIENCE && fewest > 0; n++, since++) {
    layers = sweep(net, layers, n % 2 === 0);
    const crossed = crossings(net, layers);
    if (crossed < fewest) {
      fewest = crossed;
      best = layers;
      since = 0;
    }
  }
  return best;
}

/** As a walk from the sources comes by: what belongs together starts together. */
function first(net: Net): number[][] {
  const layers: number[][] = Array.from({ length: Math.max(-1, ...net.rank) + 1 }, () => []);
  const seen = new Set<number>();
  const visit = (start: number) => {
    const stack = [start];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (!seen.has(next)) {
        seen.add(next);
        layers[net.rank[next] ?? 0]?.push(next);
        stack.push(...[...(net.down[next] ?? [])].reverse());
      }
    }
  };
  net.up.forEach((above, n) => above.length === 0 && visit(n));
  return layers;
}

function sweep(net: Net, layers: number[][], downward: boolean): number[][] {
  const swept = layers.map((layer) => [...layer]);
  const place: number[] = [];
  swept.forEach((layer) => layer.forEach((vertex, n) => (place[vertex] = n)));
  const wish: number[] = [];
  const near = downward ? net.up : net.down;
  for (const layer of downward ? swept : [...swept].reverse()) {
    for (const vertex of layer) {
      wish[vertex] = barycentre(near[vertex] ?? [], place, vertex);
    }
    layer.sort((a, b) => (wish[a] ?? 0) - (wish[b] ?? 0));
    layer.forEach((vertex, n) => (place[vertex] = n));
  }
  return swept;
}

function barycentre(near: number[], place: number[], own: number): number {
  let sum = 0;
  for (const vertex of near) {
    sum += place[vertex] ?? 0;
  }
  return near.length > 0 ? sum / near.length : (place[own] ?? 0);
}

/** How many pairs of edges cross. */
export function crossings(net: Net, layers: number[][]): number {
  let total = 0;
  const place: number[] = [];
  layers.forEach((layer) => layer.forEach((vertex, n) => (place[vertex] = n)));
  layers.slice(1).forEach((lower, n) => {
    const ends: number[] = [];
    for (const vertex of layers[n] ?? []) {
      const below = (net.down[vertex] ?? []).map((other) => place[other] ?? 0);
      ends.push(...below.sort((a, b) => a - b));
    }
    total += inversions(ends, lower.length);
  });
  return total;
}

/** Pairs that stand in the wrong order, by a Fenwick tree over the values below `size`. */
function inversions(values: number[], size: number): number {
  const tree = new Array<number>(size + 1).fill(0);
  let found = 0;
  values.forEach((value, seen) => {
    let notAbove = 0;
    for (let n = value + 1; n > 0; n -= n & -n) {
      notAbove += tree[n] ?? 0;
    }
    found += seen - notAbove;
    for (let n = value + 1; n <= size; n += n & -n) {
      tree[n] = (tree[n] ?? 0) + 1;
    }
  });
  return found;
}
