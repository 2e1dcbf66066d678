import type { Link, Tidy } from './links';

export interface Wire {
  link: Link;
  from: { row: number; lane: number };
  to: { row: number; lane: number };
}

export interface Lanes {
  /** By row. */
  lane: number[];
  lanes: number;
  wires: Wire[];
}

/**
 * A stage per row, edges in lanes beside them, as histories of commits are drawn. What a stage gives goes straight down in
 * the stage's own lane until the last that needs it; so there are no more lanes than stages whose result is still wanted.
 */
export function lanesOf({ order, links }: Tidy): Lanes {
  const row = new Map(order.map((name, n) => [name, n]));
  const at = (name: string) => row.get(name) ?? 0;
  const last = order.map((_, n) => n);
  const parents = order.map((): number[] => []);
  for (const { source, target } of links) {
    last[at(source)] = Math.max(last[at(source)] ?? 0, at(target));
    parents[at(target)]?.push(at(source));
  }
  const lane: number[] = [];
  /** Lane -> the row down to which it is taken. */
  const taken: number[] = [];
  order.forEach((_, n) => {
    const ending = (parents[n] ?? [])
      .filter((parent) => last[parent] === n)
      .map((parent) => lane[parent] ?? 0);
    let mine = ending.length > 0 ? Math.min(...ending) : taken.findIndex((until) => until < n);
    if (mine < 0) {
      mine = taken.length;
    }
    lane.push(mine);
    taken[mine] = last[n] ?? n;
  });
  return {
    lane,
    lanes: taken.length,
    wires: links.map((link) => ({
      link,
      from: { row: at(link.source), lane: lane[at(link.source)] ?? 0 },
      to: { row: at(link.target), lane: lane[at(link.target)] ?? 0 },
    })),
  };
}
