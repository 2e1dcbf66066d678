import { diffWordsWithSpace } from 'diff';

import type { Hunk } from '../types';
import { useWords, type Words } from '../words';

interface Row {
  sign: string;
  text: string;
  other?: string;
}

/** Pieces of a unified diff; in a line that was changed, the words that differ stand out. */
export function Hunks({ hunks, label }: { hunks: Hunk[]; label: string }) {
  const trans = useWords();
  return (
    <div className="nbp-hunks" role="group" aria-label={label}>
      {hunks.map((hunk, n) => (
        <div key={n}>
          <div className="nbp-hunk-head">{place(hunk, trans)}</div>
          <pre>
            {paired(hunk.lines).map((row, m) => (
              <Line key={m} row={row} />
            ))}
          </pre>
        </div>
      ))}
    </div>
  );
}

function Line({ row }: { row: Row }) {
  const kind = row.sign === '+' ? 'nbp-plus' : row.sign === '-' ? 'nbp-minus' : 'nbp-both';
  return (
    <span className={`nbp-code ${kind}`}>
      <span className="nbp-sign">{row.sign === '-' ? '−' : row.sign}</span>
      {row.other === undefined ? row.text : words(row)}
      {'\n'}
    </span>
  );
}

/** Words are told apart only where most of the line stayed: else everything would be marked. */
function words({ sign, text, other = '' }: Row) {
  if (text.length > 400 || other.length > 400) {
    return text;
  }
  const parts = sign === '+' ? diffWordsWithSpace(other, text) : diffWordsWithSpace(text, other);
  const kept = parts
    .filter((part) => !part.added && !part.removed)
    .reduce((sum, part) => sum + part.value.length, 0);
  if (kept * 3 < text.length) {
    return text;
  }
  return parts
    .filter((part) => (sign === '+' ? !part.removed : !part.added))
    .map((part, n) => (part.added || part.removed ? <mark key={n}>{part.value}</mark> : part.value));
}

/** The lines, where as many were taken away as put in: each with its counterpart. */
export function paired(lines: string[]): Row[] {
  const rows = lines.map((line): Row => ({ sign: line.slice(0, 1), text: line.slice(1) }));
  for (let start = 0; start < rows.length; start += 1) {
    let minus = 0;
    while (rows[start + minus]?.sign === '-') {
      minus += 1;
    }
    let plus = 0;
    while (minus > 0 && rows[start + minus + plus]?.sign === '+') {
      plus += 1;
    }
    if (minus > 0 && minus === plus) {
      for (let n = 0; n < minus; n += 1) {
        const before = rows[start + n];
        const after = rows[start + minus + n];
        if (before && after) {
          before.other = after.text;
          after.other = before.text;
        }
      }
    }
    start += minus + plus > 0 ? minus + plus - 1 : 0;
  }
  return rows;
}

function place(hunk: Hunk, trans: Words): string {
  const cell = (number: number | undefined, line: number | undefined) =>
    number === undefined
      ? ''
      : line === undefined
        ? trans.__('cell %1', number)
        : trans.__('cell %1 line %2', number, line);
  const a = cell(hunk.a_cell, hunk.a_line);
  const b = cell(hunk.b_cell, hunk.b_line);
  if (a || b) {
    return a === b || !a || !b ? a || b : `${a} → ${b}`;
  }
  return trans.__('line %1', hunk.b_start ?? hunk.a_start ?? 1);
}
