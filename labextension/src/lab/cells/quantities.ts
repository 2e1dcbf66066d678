import { prints, shown } from './words';

/** Words of a magic line as values. Readers throw an `Error` with the reason, as `nbpipe/notebook/quantities.py` does. */

const NAME = /^[a-z][a-z0-9_-]{0,62}$/;
const NUMBER = /^[0-9]+(?:\.[0-9]+)?$/;
const COUNT = /^[0-9]{1,9}$/;
const SIZE = /^([0-9]+(?:\.[0-9]+)?)([KMGT])(?:iB|i|B)?$/i;
const DURATION = /^(?:([0-9.]+)d)?(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s)?$/;
const IDENTIFIER = /^[\p{XID_Start}_]\p{XID_Continue}*$/u;
const POWERS: Record<string, number> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const UNITS = [86400, 3600, 60, 1];
const LONGEST_WORD = 24;
const KEYWORDS = new Set(
  (
    'False None True and as assert async await break class continue def del elif else except finally for from ' +
    'global if import in is lambda nonlocal not or pass raise return try while with yield'
  ).split(' '),
);

export function stageName(text: string): string {
  if (!NAME.test(text)) {
    throw new Error(
      `${shown(text)} is not a valid name: lower-case letters, digits, '_' and '-', a letter first, 63 at most`,
    );
  }
  return text;
}

/** A name that is close to the text and valid; "" where there is none. */
export function suggestName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '_')
    .replace(/^[-_0-9]+|[-_]+$/g, '')
    .slice(0, 63);
}

export function identifier(text: string): string {
  const name = text.normalize('NFKC');
  if (!IDENTIFIER.test(name) || KEYWORDS.has(name)) {
    throw new Error(`${shown(text)} is not a Python variable name`);
  }
  return name;
}

export function amount(text: string): number {
  if (!NUMBER.test(text) || text.length > LONGEST_WORD) {
    throw new Error(`${shown(text)} is not a number of 0 or more`);
  }
  return Number(text);
}

export function positiveAmount(text: string): number {
  const found = amount(text);
  if (found <= 0) {
    throw new Error(`${shown(text)} is not greater than 0`);
  }
  return found;
}

export function count(text: string): number {
  if (!COUNT.test(text)) {
    throw new Error(`${shown(text)} is not a whole number of 0 or more`);
  }
  return Number(text);
}

export function positiveCount(text: string): number {
  const found = count(text);
  if (found < 1) {
    throw new Error(`${shown(text)} is not 1 or more`);
  }
  return found;
}

/** Bytes; K, M, G and T are powers of 1024. */
export function size(text: string): number {
  const match = SIZE.exec(text);
  if (!match || text.length > LONGEST_WORD) {
    throw new Error(`${shown(text)} is not a size: write a number and a unit, such as 512M or 4G`);
  }
  const bytes = Math.trunc(Number(match[1]) * (POWERS[(match[2] ?? '').toUpperCase()] ?? 0));
  if (!(bytes > 0 && bytes <= 2 ** 60)) {
    throw new Error(`${shown(text)} is not a size that a machine can have`);
  }
  return bytes;
}

/** Seconds, from `90`, `90s`, `10m`, `2h`, `1d` or `1h30m`. */
export function seconds(text: string): number {
  let found: number;
  if (text.length <= LONGEST_WORD && NUMBER.test(text)) {
    found = Number(text);
  } else {
    const match = text.length <= LONGEST_WORD ? DURATION.exec(text) : null;
    const parts: (string | undefined)[] = match ? match.slice(1) : [];
    const given = parts.filter((part) => part !== undefined);
    if (!given.length || !given.every((part) => NUMBER.test(part))) {
      throw new Error(`${shown(text)} is not a duration: write 30s, 10m, 2h, 1d or 1h30m`);
    }
    found = parts.reduce((sum, part, n) => sum + Number(part ?? 0) * (UNITS[n] ?? 0), 0);
  }
  if (!(found > 0 && found <= 365 * 86400)) {
    throw new Error(`${shown(text)} is not between 0 and 365 days`);
  }
  return found;
}

export function path(text: string): string {
  if (!text || !prints(text)) {
    throw new Error(`${shown(text)} is not a path: it is empty or holds control characters`);
  }
  if (text.startsWith('-')) {
    throw new Error(`${shown(text)} looks like an option; write ./${text} for a file of that name`);
  }
  return text;
}

export function image(text: string): string {
  if (!/^[!-,.-~][!-~]*$/.test(text)) {
    throw new Error(`${shown(text)} is not the name of a container image`);
  }
  return text;
}

export function modelName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9 _.-]{0,249}$/.test(text)) {
    throw new Error(`${shown(text)} is not a model name: letters, digits, spaces, '_', '.' and '-'`);
  }
  return text;
}

export function env(text: string): [string, string] {
  const match = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(text);
  if (!match) {
    throw new Error(`${shown(text)} is not of the form NAME=VALUE`);
  }
  return [match[1] ?? '', match[2] ?? ''];
}
