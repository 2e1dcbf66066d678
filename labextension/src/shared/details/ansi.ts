/* eslint-disable no-control-regex -- escapes are control characters */
/** How text looks; numbers are the terminal's sixteen colours, text a CSS colour. */
export interface Style {
  readonly color?: number | string | undefined;
  readonly back?: number | string | undefined;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly italic?: boolean;
  readonly underline?: boolean;
  readonly struck?: boolean;
  readonly inverse?: boolean;
}

export interface Span {
  text: string;
  style: Style;
}

export const PLAIN: Style = {};

// CSI and OSC sequences, other escapes of two characters, and control characters that are not white space.
const ESCAPES =
  /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[^[\]]?|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g;

/** What is read, without escapes. */
export function plain(line: string): string {
  return line.includes('\x1b') ? line.replace(ESCAPES, '') : line;
}

/** One line in pieces of one look each, beginning with `style`; all other escapes are left out. */
export function spans(line: string, style: Style): Span[] {
  const found: Span[] = [];
  let now = style;
  let from = 0;
  for (const match of line.matchAll(ESCAPES)) {
    push(found, line.slice(from, match.index), now);
    now = after(match[0], now);
    from = match.index + match[0].length;
  }
  push(found, line.slice(from), now);
  return found;
}

/** The look with which the next line begins. */
export function styleAfter(line: string, style: Style): Style {
  return line.includes('\x1b')
    ? [...line.matchAll(ESCAPES)].reduce((now, match) => after(match[0], now), style)
    : style;
}

function push(found: Span[], text: string, style: Style): void {
  if (text) {
    found.push({ text, style });
  }
}

/** Select Graphic Rendition of ECMA-48, with the colours of xterm. */
function after(escape: string, style: Style): Style {
  const codes = /^\x1b\[([\d;:]*)m$/.exec(escape)?.[1];
  if (codes === undefined) {
    return style;
  }
  const numbers = codes.split(/[;:]/).map(Number);
  let now: Style = style;
  for (let code = numbers.shift(); code !== undefined; code = numbers.shift()) {
    now =
      code === 38 || code === 48
        ? { ...now, [code === 38 ? 'color' : 'back']: extended(numbers) }
        : simple(code, now);
  }
  return now;
}

const SWITCHES: Record<number, Style> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { struck: true },
  22: { bold: false, dim: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  29: { struck: false },
};

function simple(code: number, style: Style): Style {
  if (code === 0) {
    return PLAIN;
  }
  if (code === 39) {
    return { ...style, color: undefined };
  }
  if (code === 49) {
    return { ...style, back: undefined };
  }
  const tens = Math.floor(code / 10);
  const ones = code % 10;
  if (ones < 8 && (tens === 3 || tens === 9)) {
    return { ...style, color: ones + (tens === 9 ? 8 : 0) };
  }
  if (ones < 8 && (tens === 4 || tens === 10)) {
    return { ...style, back: ones + (tens === 10 ? 8 : 0) };
  }
  return { ...style, ...SWITCHES[code] };
}

/** After 38 or 48: `5;N` of 256 colours, or `2;R;G;B`. Takes what it reads. */
function extended(numbers: number[]): number | string {
  if (numbers.shift() === 2) {
    return rgb(numbers.splice(0, 3));
  }
  const n = Math.min(numbers.shift() ?? 0, 255);
  if (n < 16) {
    return n;
  }
  const step = (value: number) => (value === 0 ? 0 : 55 + 40 * value);
  const cube = n - 16;
  return n >= 232
    ? rgb([8, 8, 8].map((base) => base + 10 * (n - 232)))
    : rgb([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(step));
}

function rgb(parts: number[]): string {
  return `rgb(${[0, 1, 2].map((n) => Math.min(Math.max(Math.trunc(parts[n] ?? 0) || 0, 0), 255)).join(' ')})`;
}
