import type { Names } from './store';
import type { RunRow } from './types';
import { ENGLISH, type Words } from './words';

/** A column of the table. `sort` is what the query calls it; without it, nobody can sort by it. */
export interface Column {
  id: string;
  title: string;
  group: 'Run' | 'Parameters' | 'Metrics' | 'Curves' | 'Tags';
  sort?: string;
  numeric?: boolean;
}

const ofRun = (trans: Words): Column[] => [
  { id: 'started', title: trans.__('started'), group: 'Run', sort: 'started' },
  { id: 'seconds', title: trans.__('took'), group: 'Run', sort: 'seconds', numeric: true },
  { id: 'name', title: trans.__('notebook'), group: 'Run', sort: 'name' },
  { id: 'version', title: trans.__('version'), group: 'Run', sort: 'number' },
  { id: 'user', title: trans.__('who'), group: 'Run', sort: 'user' },
  { id: 'commit', title: trans.__('commit'), group: 'Run', sort: 'commit' },
];
const MOST_PARAMS = 4;
const MOST_METRICS = 3;

/** Every column there is. */
export function allColumns(names: Names, trans: Words = ENGLISH): Column[] {
  return [
    ...ofRun(trans),
    ...names.params.map((name): Column => ({
      id: `params.${name}`,
      title: name,
      group: 'Parameters',
      sort: `params.${name}`,
    })),
    ...names.metrics.map((name): Column => ({
      id: `metrics.${name}`,
      title: name,
      group: 'Metrics',
      sort: `metrics.${name}`,
      numeric: true,
    })),
    ...names.curves.map((name): Column => ({
      id: `curve.${name}`,
      title: trans.__('%1 curve', name),
      group: 'Curves',
    })),
    ...names.tags.map((name): Column => ({
      id: `tags.${name}`,
      title: name,
      group: 'Tags',
      sort: `tags.${name}`,
    })),
  ];
}

/** The columns to show: those chosen, else those that tell the rows at hand apart. */
export function shownColumns(
  names: Names,
  chosen: readonly string[],
  rows: RunRow[],
  trans: Words = ENGLISH,
): Column[] {
  const all = allColumns(names, trans);
  const wanted = new Set(chosen.length > 0 ? chosen : usual(names, rows));
  return all.filter((column) => wanted.has(column.id));
}

/** As `shownColumns`, for a sidebar: what tells runs apart comes first, the rest is a scroll away. */
export function narrowColumns(
  names: Names,
  chosen: readonly string[],
  rows: RunRow[],
  trans: Words = ENGLISH,
): Column[] {
  const shown = shownColumns(names, chosen, rows, trans);
  const rank = ({ id, group }: Column) =>
    group === 'Metrics' ? 0 : group === 'Parameters' ? 1 : ['seconds', 'started'].includes(id) ? 2 : 3;
  return [...shown].sort((a, b) => rank(a) - rank(b));
}

function usual(names: Names, rows: RunRow[]): string[] {
  const several = new Set(rows.map((row) => row.name ?? '')).size > 1;
  const varied = names.params.filter(
    (name) => new Set(rows.map((row) => row.params?.[name] ?? null)).size > 1,
  );
  const given = names.params.filter((name) => rows.some((row) => row.given?.includes(name)));
  const params = [...new Set([...given, ...varied])].slice(0, MOST_PARAMS);
  const filled = names.metrics.filter((name) => rows.some((row) => row.metrics?.[name] !== undefined));
  return [
    'started',
    'seconds',
    ...(several ? ['name'] : []),
    'version',
    ...params.map((name) => `params.${name}`),
    ...filled.slice(0, MOST_METRICS).map((name) => `metrics.${name}`),
    ...names.curves.slice(0, 1).map((name) => `curve.${name}`),
    ...names.tags.slice(0, 1).map((name) => `tags.${name}`),
  ];
}
