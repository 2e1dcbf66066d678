import { checkName, isOurs, magicWord, parseLine, parseOptions, type Role } from './grammar';
import { commentOf, GrammarError, quote, split } from './words';

/** How a cell says what it is. */
export type TagStyle = 'magic' | 'metadata';

/** What of a cell counts here. */
export interface CellText {
  source: string;
  /** `metadata.tags` */
  tags: readonly string[];
  /** `metadata.nbpipe` */
  meta: unknown;
}

export interface Tag {
  role: Role | 'skip';
  name: string;
  /** Options as they are written, in one text. */
  options: string;
  from: 'magic' | 'metadata' | 'tags';
  /** What is wrong with the line or the metadata. */
  error: string;
}

/** One change of a text: what stands between `start` and `end` becomes `text`. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

export interface Spot {
  line: string;
  start: number;
  end: number;
}

const PLAIN: Record<string, Role | 'skip'> = {
  params: 'params',
  parameters: 'params',
  'injected-parameters': 'params',
  setup: 'setup',
  'nbpipe:skip': 'skip',
};
const NAMED = new Set(['stage', 'check', 'profile']);

/** The first line that is not blank; looks no further than that. */
export function firstLine(source: string): Spot {
  let start = 0;
  for (;;) {
    const stop = source.indexOf('\n', start);
    const end = stop < 0 ? source.length : stop;
    const line = source.slice(start, end);
    if (stop < 0 || line.trim()) {
      return { line, start, end };
    }
    start = end + 1;
  }
}

/** What the cell is in the pipeline: its line, else its tags, else its metadata; null for an untagged cell. */
export function readTag(cell: CellText): Tag | null {
  const { line } = firstLine(cell.source);
  return isOurs(line) ? fromLine(line) : (fromTags(cell.tags) ?? fromMeta(cell.meta));
}

function fromLine(line: string): Tag {
  const word = magicWord(line) as Role;
  try {
    const said = parseLine(line);
    return { role: said.role, name: said.name, options: optionsOf(line), from: 'magic', error: '' };
  } catch (error) {
    return { role: word, name: nameOf(line), options: '', from: 'magic', error: textOf(error) };
  }
}

function fromTags(tags: readonly string[]): Tag | null {
  for (const tag of tags) {
    const plain = PLAIN[tag];
    const colon = tag.indexOf(':');
    const [kind, name] = [tag.slice(0, Math.max(colon, 0)), tag.slice(colon + 1).trim()];
    if (plain) {
      return { role: plain, name: '', options: '', from: 'tags', error: '' };
    }
    if (NAMED.has(kind)) {
      return { role: kind as Role, name, options: '', from: 'tags', error: mistake(() => checkName(name)) };
    }
  }
  return null;
}

function fromMeta(meta: unknown): Tag | null {
  if (typeof meta !== 'object' || meta === null || Array.isArray(meta)) {
    return null;
  }
  const said = meta as Record<string, unknown>;
  const options = typeof said.options === 'string' ? said.options : '';
  for (const role of NAMED as Set<Role>) {
    const name = said[role];
    if (typeof name === 'string') {
      const error = mistake(() => (checkName(name), parseOptions(options, role)));
      return { role, name, options, from: 'metadata', error };
    }
  }
  for (const role of ['params', 'setup', 'skip'] as const) {
    if (said[role] === true) {
      return { role, name: '', options: '', from: 'metadata', error: '' };
    }
  }
  return null;
}

/** The magic line for a tag. Throws a `GrammarError` where the grammar allows no such line. */
export function lineOf(role: Role, name: string, options = ''): string {
  const words = [`%%${role === 'profile' ? 'params' : role}`, name, options.trim()];
  const line = words.filter(Boolean).join(' ');
  parseLine(line);
  return line;
}

/** The object for `metadata.nbpipe`: flat, and nothing else. */
export function metaOf(role: Role, name: string, options = ''): Record<string, string | boolean> {
  lineOf(role, name, options);
  const said: Record<string, string | boolean> = { [role]: NAMED.has(role) ? name : true };
  return options.trim() ? { ...said, options: options.trim() } : said;
}

/** Put the line in front, or in the place of the one that is there, whose comment stays unless it has one itself. */
export function putLine(source: string, line: string): Edit {
  const spot = firstLine(source);
  if (isOurs(spot.line)) {
    return { start: spot.start, end: spot.end, text: line + (commentOf(line) ? '' : commentOf(spot.line)) };
  }
  return { start: 0, end: 0, text: source ? `${line}\n` : line };
}

/** The line with another name, and what it waits for under another name; the rest of it stays as it was written. */
export function renamedLine(line: string, from: string, to: string): string {
  const tag = fromLine(line);
  const own = (tag.role === 'stage' || tag.role === 'check') && tag.name === from;
  const head = /^(%%\w+[ \t]+)(\S+)/.exec(line);
  let renamed = line;
  if (own && head?.[2] === from) {
    renamed = `${head[1] ?? ''}${to}${line.slice(head[0].length)}`;
  } else if (own) {
    renamed = lineOf(tag.role as Role, to, tag.options) + commentOf(line);
  }
  return renamedAfter(renamed, from, to);
}

/** Options in which `--after` names the new name. */
export function renamedAfter(options: string, from: string, to: string): string {
  return options.replace(/(\s--after[= ]\s*|^--after[= ]\s*)(\S+)/g, (_, head: string, names: string) => {
    const renamed = names.split(',').map((name) => (name === from ? to : name));
    return head + renamed.join(',');
  });
}

/** Take the line away, with its end; null where there is none. */
export function dropLine(source: string): Edit | null {
  const { line, start, end } = firstLine(source);
  return isOurs(line) ? { start, end: Math.min(end + 1, source.length), text: '' } : null;
}

export function applied(source: string, edit: Edit): string {
  return source.slice(0, edit.start) + edit.text + source.slice(edit.end);
}

/** The options of a line as they are written, its comment left out. */
export function optionsOf(line: string): string {
  const words = split(line.slice((magicWord(line)?.length ?? 0) + 2));
  const name = nameIndex(words);
  const rest = words.filter((_, n) => n !== name);
  return rest.map(({ text, quoted }) => (text.startsWith('--') && !quoted ? text : quote(text))).join(' ');
}

function nameOf(line: string): string {
  try {
    const words = split(line.slice((magicWord(line)?.length ?? 0) + 2));
    return words[nameIndex(words)]?.text ?? '';
  } catch {
    return /^%%\w+\s+(\S+)/.exec(line)?.[1] ?? '';
  }
}

/** Where the name stands: the first word that is neither an option nor its value. */
function nameIndex(words: { text: string; quoted: boolean }[]): number {
  const flags = new Set(['--cache', '--no-cache']);
  for (let n = 0; n < words.length; n += 1) {
    const word = words[n];
    if (!word || word.quoted || !word.text.startsWith('-')) {
      return n;
    }
    if (word.text.startsWith('--') && !word.text.includes('=') && !flags.has(word.text)) {
      n += 1;
    }
  }
  return -1;
}

function mistake(read: () => unknown): string {
  try {
    read();
    return '';
  } catch (error) {
    return textOf(error);
  }
}

/** What is wrong and what to write instead, in one text. */
export function textOf(error: unknown): string {
  if (error instanceof GrammarError) {
    return error.fix ? `${error.message}. ${error.fix}` : error.message;
  }
  return error instanceof Error ? error.message : String(error);
}
