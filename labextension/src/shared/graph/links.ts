import type { EdgeKind } from '../api';

export interface Link {
  source: string;
  target: string;
  names: string[];
  kind: EdgeKind;
}

export interface Tidy {
  /** Sources before targets, otherwise as given. */
  order: string[];
  /** At most one per pair, each from an earlier to a later place in `order`. */
  links: Link[];
}

/** A graph that can be drawn: double edges are joined, what goes nowhere or round in a circle is left out. */
export function tidy(names: string[], edges: Link[]): Tidy {
  const known = new Set(names);
  const joined = new Map<string, Link>();
  for (const edge of edges) {
    if (!known.has(edge.source) || !known.has(edge.target) || edge.source === edge.target) {
      continue;
    }
    const pair = JSON.stringify([edge.source, edge.target]);
    const before = joined.get(pair);
    joined.set(pair, {
      source: edge.source,
      target: edge.target,
      names: [...new Set([...(before?.names ?? []), ...edge.names])],
      kind: before?.kind === 'data' ? 'data' : edge.kind,
    });
  }
  const links = [...joined.values()];
  const order = sorted([...known], links);
  const place = new Map(order.map((name, n) => [name, n]));
  return { order, links: links.filter((link) => at(place, link.source) < at(place, link.target)) };
}

function sorted(names: string[], links: Link[]): string[] {
  const waits = new Map(names.map((name) => [name, new Set<string>()]));
  const gives = new Map<string, string[]>();
  for (const { source, target } of links) {
    waits.get(target)?.add(source);
    gives.set(source, [...(gives.get(source) ?? []), target]);
  }
  const left = new Set(names);
  const order: string[] = [];
  while (left.size > 0) {
    let next = '';
    for (const name of left) {
      if (waits.get(name)?.size === 0) {
        next = name;
        break;
      }
    }
    // All that are left wait for each other: the first of them goes first.
    const [first = ''] = left;
    next ||= first;
    order.push(next);
    left.delete(next);
    for (const target of gives.get(next) ?? []) {
      waits.get(target)?.delete(next);
    }
  }
  return order;
}

function at(place: Map<string, number>, name: string): number {
  return place.get(name) ?? -1;
}
