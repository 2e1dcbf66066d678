import type { Column } from './columns';
import { ago, delta, duration, metric, scalar } from './format';
import { statusWord } from './Status';
import type { RunRow } from './types';
import type { Words } from './words';

/** Characters that a cell shows at most, in those of a digit's width; more is cut off. */
const MOST = 32;
/** Twice as wide as a digit: Chinese, Japanese, Korean, emoji. Half as wide again: capitals. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f000}-\u{3ffff}]/u;
const CAPITAL = /[\p{Lu}@%&#]/u;
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
    const status = `calc(max(${word} + ${bar}, ${heading(this.trans.__('status'))}ch * var(--nbp-word-room)) + ${room})`;
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
    this.chars.set(id, Math.max(this.chars.get(id) ?? 0, Math.ceil(widthOf(shown))));
  }
}

/**
 * As much of a text as a cell shows. It is cut here and not by the browser: a box that clips what is in it has a place of its
 * own among all that is painted, and a scroll that changes one of them makes the whole page put all of them in order again.
 */
export function cut(text: string): string {
  if (text.length <= MOST / 2) {
    return text;
  }
  let left = MOST - 1;
  const chars = Array.from(text);
  const end = chars.findIndex((char) => (left -= charWidth(char)) < 0);
  return end < 0 || widthOf(text) <= MOST ? text : `${chars.slice(0, end).join('')}…`;
}

function widthOf(text: string): number {
  let width = 0;
  for (const char of text) {
    width += charWidth(char);
  }
  return width;
}

function charWidth(char: string): number {
  return char < '@' ? 1 : CAPITAL.test(char) ? 1.5 : WIDE.test(char) ? 2 : 1;
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
