/** A mistake in a magic line: what is wrong, and what to write instead. */
export class GrammarError extends Error {
  constructor(
    message: string,
    readonly fix = '',
  ) {
    super(message);
    this.name = 'GrammarError';
  }
}

export interface Word {
  text: string;
  /** It begins with a quote, and so is no option. */
  quoted: boolean;
}

const LONGEST = 10_000;
const EXPANSION = /[{}]|\$[A-Za-z_]/;
const STRANGE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;
const ESCAPES: Record<string, string> = { '': '\\\'" \t', '"': '\\"', "'": '' };

/** Whether every character can be seen. */
export function prints(text: string): boolean {
  return !STRANGE.test(text);
}

/** The text as an error may print it. */
export function shown(text: string): string {
  return `'${text.length > 80 ? `${text.slice(0, 77)}...` : text}'`;
}

/** The words of a line, as `nbpipe/notebook/line.py` splits them: quotes, escapes, and a comment after `#`. */
export function split(text: string): Word[] {
  if (text.length > LONGEST) {
    throw new GrammarError(
      `the line has more than ${LONGEST} characters`,
      'Repeat an option rather than one long list.',
    );
  }
  const words: Word[] = [];
  let end = text.length;
  let at = 0;
  while (at < end) {
    const char = text.charAt(at);
    if (char === ' ' || char === '\t') {
      at += 1;
    } else if (char === '#') {
      end = at;
    } else {
      const [word, stop] = wordAt(text, at);
      words.push({ text: word, quoted: char === '"' || char === "'" });
      at = stop;
    }
  }
  refuseStrange(text.slice(0, end));
  return words;
}

/** The comment at the end of a line, with the space in front of it; '' for none, or where the line cannot be read. */
export function commentOf(text: string): string {
  let at = 0;
  while (at < text.length) {
    const char = text.charAt(at);
    if (char === '#') {
      const before = text.slice(0, at).trimEnd().length;
      return text.slice(before);
    }
    if (char === ' ' || char === '\t') {
      at += 1;
    } else {
      try {
        [, at] = wordAt(text, at);
      } catch {
        return '';
      }
    }
  }
  return '';
}

/** The word as it has to be written so that `split` gives it back. */
export function quote(word: string): string {
  if (word !== '' && !/[\s'"\\]|^#|^--/.test(word)) {
    return word;
  }
  return word.includes("'") ? `"${word.replace(/[\\"]/g, '\\$&')}"` : `'${word}'`;
}

function wordAt(text: string, start: number): [string, number] {
  let at = start;
  let out = '';
  let quoted = '';
  while (at < text.length && (quoted || !' \t'.includes(text.charAt(at)))) {
    const char = text.charAt(at);
    const next = text.charAt(at + 1);
    if (char === '\\' && next && (ESCAPES[quoted] ?? '').includes(next)) {
      out += next;
      at += 1;
    } else if (char === quoted) {
      quoted = '';
    } else if (!quoted && (char === "'" || char === '"')) {
      quoted = char;
    } else {
      out += char;
    }
    at += 1;
  }
  if (quoted) {
    throw new GrammarError(
      `a quote ${quoted} is opened and not closed`,
      'Close it, or escape it with a backslash.',
    );
  }
  return [out, at];
}

function refuseStrange(text: string): void {
  const found = EXPANSION.exec(text);
  if (found) {
    throw new GrammarError(
      `${shown(text.slice(found.index, found.index + 20))}: variables are not expanded in this line`,
      'Write the value itself; what changes between runs belongs in a %%params cell.',
    );
  }
  if (!prints(text.replaceAll('\t', ' '))) {
    throw new GrammarError('the line holds a character that does not print', 'Type the line again.');
  }
}
