import type { Column } from './columns';
import { ago, delta, duration, metric, scalar } from './format';
import { statusWord } from './Status';
import type { RunRow } from './types';
import type { Words } from './words';

/** Characters that a cell shows at most; more is cut off. */
const MOST = 32;
const LEAST = 3;
/** A sparkline, in characters. */
const CURVE = 12;

/**
 * How wide the columns have to be, in characters.
 *
 * Responsibilities: looks once at each row that is shown, and only ever grows: so no row has to be laid out to know the
 * place of another. It must not measure anything in the page.
 */
export class Widths {
  private seen = new WeakSet<RunRow>();
  private columns = '';
  private readonly chars = new Map<string, number>();

  constructor(private readonly trans: Words) {}

  /** Take these rows into account. */
  see(rows: (RunRow | undefined)[], columns: Column[], baseline: RunRow | undefined): void {
    const ids = [...columns.map(({ id }) => id), baseline?.run ?? ''].join('\n');
    if (ids !== this.columns) {
      this.columns = ids;
      this.seen = new WeakSet();
    }
    for (const row of rows) {
      if (row && !this.seen.has(row)) {
        this.seen.add(row);
        this.grow('run', [row.run, row.stage].filter(Boolean).join(' '));
        this.grow('status', statusWord(row.status, this.trans));
        this.grow('note', (row.broken ?? []).join(', '));
        for (const column of columns) {
          this.grow(column.id, text(column.id, row, baseline, this.trans));
        }
      }
    }
  }

  /** The tracks of a CSS grid, and the width of all of them; `running` leaves room for a bar of progress. */
  tracks(columns: Column[], running: boolean): { tracks: string; width: string } {
    const room = 'var(--nbp-gap)';
    const word = `2.2em + ${this.of('status', '')}ch * var(--nbp-word-room) + ${this.of('note', '')}ch`;
    const bar = running ? 'var(--nbp-running)' : '0px';
    const status = `calc(max(${word} + ${bar}, ${heading(this.trans.__('status'))}ch) + ${room})`;
    const all = [
      'var(--nbp-check)',
      `calc(${this.of('run', this.trans.__('run'))}ch + var(--nbp-run-room) + ${room})`,
      status,
      ...columns.map(({ id, title }) => `calc(${this.of(id, title)}ch + ${room})`),
    ];
    // What is left over goes to all of them but the first, as it does in a table.
    const tracks = all.map((track, n) => (n ? `minmax(${track}, 1fr)` : track)).join(' ');
    return { tracks, width: `calc(${all.join(' + ')})` };
  }

  private of(id: string, title: string): number {
    const least = id.startsWith('curve.') ? CURVE : title ? LEAST : 0;
    return Math.min(Math.max(this.chars.get(id) ?? 0, heading(title), least), MOST);
  }

  private grow(id: string, shown: string): void {
    this.chars.set(id, Math.max(this.chars.get(id) ?? 0, shown.length));
  }
}

/** Characters of a title: it is bold, and may carry an arrow. */
function heading(title: string): number {
  return title ? Math.ceil(title.length * 1.1 + 1) : 0;
}

/** What a cell of this column says, about as long as it says it. */
function text(id: string, row: RunRow, baseline: RunRow | undefined, trans: Words): string {
  const name = id.slice(id.indexOf('.') + 1);
  if (id.startsWith('params.')) {
    return scalar(row.params?.[name]);
  }
  if (id.startsWith('metrics.')) {
    const value = row.metrics?.[name];
    const before = baseline?.metrics?.[name];
    return value === undefined
      ? ''
      : metric(value) + (before === undefined ? '' : ` ${delta(value, before)}`);
  }
  if (id.startsWith('tags.')) {
    return `${row.tags?.[name] ?? ''}  `;
  }
  if (id === 'started') {
    return ago(row.started ?? 0, Date.now() / 1000, trans);
  }
  if (id === 'seconds') {
    return duration(row.seconds ?? 0);
  }
  return { name: row.name, version: row.version, user: row.user, commit: row.commit }[id] ?? '';
}
