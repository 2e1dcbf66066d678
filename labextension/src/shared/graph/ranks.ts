import type { Tidy } from './links';

/**
 * A graph in layers. Vertices are numbers: below `real` they are stages, in the order of the graph; the others are bends, where
 * an edge passes a layer. All edges of a stage that pass the same layer share one bend.
 */
export interface Net {
  real: number;
  rank: number[];
  up: number[][];
  down: number[][];
  /** Per stage: its bends, by rank. */
  bends: Map<number, number>[];
}

/** Rank by longest path; what only gives moves beside what it gives to. Bends are added where edges pass a rank. */
export function netOf({ order, links }: Tidy): Net {
  const number = new Map(order.map((name, n) => [name, n]));
  const pairs = links.map((link) => [number.get(link.source) ?? 0, number.get(link.target) ?? 0] as const);
  const children = order.map((): number[] => []);
  const parents = order.map((): number[] => []);
  for (const [a, b] of pairs) {
    children[a]?.push(b);
    parents[b]?.push(a);
  }
  const rank: number[] = [];
  order.forEach((_, n) => {
    rank[n] = Math.max(0, ...(parents[n] ?? []).map((parent) => (rank[parent] ?? 0) + 1));
  });
  for (let n = order.length - 1; n >= 0; n--) {
    const below = (children[n] ?? []).map((child) => rank[child] ?? 0);
    if (below.length > 0 && parents[n]?.length === 0) {
      rank[n] = Math.min(...below) - 1;
    }
  }
  const net: Net = {
    real: order.length,
    rank,
    up: order.map(() => []),
    down: order.map(() => []),
    bends: order.map(() => new Map<number, number>()),
  };
  for (const [a, b] of pairs) {
    let before = a;
    for (let r = (rank[a] ?? 0) + 1; r < (rank[b] ?? 0); r++) {
      before = bend(net, a, before, r);
    }
    connect(net, before, b);
  }
  return net;
}

function bend(net: Net, of: number, before: number, rank: number): number {
  const there = net.bends[of]?.get(rank);
  if (there !== undefined) {
    return there;
  }
  const made = net.rank.push(rank) - 1;
  net.up.push([]);
  net.down.push([]);
  net.bends[of]?.set(rank, made);
  connect(net, before, made);
  return made;
}

function connect(net: Net, a: number, b: number): void {
  net.down[a]?.push(b);
  net.up[b]?.push(a);
}
