import { addOption, checkTogether, OPTIONS, type Given } from './options';
import { stageName, suggestName } from './quantities';
import { GrammarError, shown, split, type Word } from './words';

export type Role = 'params' | 'profile' | 'setup' | 'stage' | 'check';

/** What a magic line says. `docs/formats/grammar.json` holds the examples that this and Python's parser must satisfy. */
export interface MagicLine {
  role: Role;
  /** Of the stage, check or profile; "" for %%params and %%setup. */
  name: string;
  options: Given;
}

export const MAGICS = ['params', 'setup', 'stage', 'check'] as const;

const HEAD = /^%%([A-Za-z_][\w]*)(?!\S)/;

/** The word after `%%` when the line starts a cell magic, ours or not. */
export function magicWord(line: string): string | null {
  return HEAD.exec(line)?.[1] ?? null;
}

export function isOurs(line: string): boolean {
  return (MAGICS as readonly string[]).includes(magicWord(line) ?? '');
}

/** What a line such as `%%stage train --gpus 1` says. Throws a `GrammarError`. */
export function parseLine(written: string): MagicLine {
  const line = written.replace(/[\r\n\t ]+$/, '');
  const magic = magicWord(line);
  if (magic === null || !isOurs(line)) {
    const word = line.trim().split(/\s+/)[0] ?? '';
    throw new GrammarError(
      `${shown(word)} is not one of nbpipe's cell magics`,
      'They are %%params, %%setup, %%stage and %%check.',
    );
  }
  const words = split(line.slice(magic.length + 2));
  oneName(words, magic);
  const { positional, given } = sort(words, magic);
  const limit = magic === 'setup' ? 0 : 1;
  const surplus = positional[limit];
  if (surplus !== undefined) {
    throw unexpected(surplus);
  }
  const [first] = positional;
  if (first === undefined && (magic === 'stage' || magic === 'check')) {
    throw new GrammarError(`%%${magic} needs a name`, `Write %%${magic} NAME, such as %%${magic} train.`);
  }
  const name = first === undefined ? '' : checkName(first);
  checkTogether(given);
  return { role: magic === 'params' && name ? 'profile' : (magic as Role), name, options: given };
}

/** The name itself. Throws a `GrammarError` that suggests one where it is not valid. */
export function checkName(text: string): string {
  try {
    return stageName(text);
  } catch (error) {
    const better = suggestName(text);
    throw new GrammarError((error as Error).message, better && `Write ${better}.`);
  }
}

/** Refuse words before the first option that read as a name with blanks. */
function oneName(words: Word[], magic: string): void {
  const option = words.findIndex((word) => !word.quoted && word.text.startsWith('-'));
  const leading = words.slice(0, option < 0 ? words.length : option).map((word) => word.text);
  if (magic === 'setup' && leading.length > 0) {
    throw new GrammarError(
      '%%setup takes no name',
      'Write %%setup alone; several setup cells run in the order in which they stand.',
    );
  }
  if (leading.length > 1) {
    const text = leading.join(' ');
    throw new GrammarError(
      `${shown(text)} is not a name: a name has no blanks`,
      `Write %%${magic} ${suggestName(text) || 'NAME'}.`,
    );
  }
}

/** Options alone, as `metadata.nbpipe.options` holds them. Throws a `GrammarError`. */
export function parseOptions(text: string, kind: string): Given {
  const { positional, given } = sort(split(text), kind);
  const [first] = positional;
  if (first !== undefined) {
    throw unexpected(first);
  }
  checkTogether(given);
  return given;
}

function unexpected(word: string): GrammarError {
  return new GrammarError(
    `unexpected word ${shown(word)}`,
    'Options start with --, values with blanks are quoted, lists are joined by commas without blanks.',
  );
}

function sort(words: Word[], magic: string): { positional: string[]; given: Given } {
  const positional: string[] = [];
  const given: Given = {};
  for (let index = 0; index < words.length; index += 1) {
    const { text, quoted } = words[index] ?? { text: '', quoted: true };
    if (quoted || !text.startsWith('-')) {
      positional.push(text);
      continue;
    }
    if (!text.startsWith('--')) {
      throw new GrammarError(`${shown(text)}: options start with two dashes`, 'Write --NAME VALUE.');
    }
    if (magic !== 'stage' && magic !== 'check') {
      throw new GrammarError(`%%${magic} has no options`, 'Options belong on %%stage and %%check.');
    }
    const equals = text.indexOf('=');
    const name = equals < 0 ? text.slice(2) : text.slice(2, equals);
    const next = words[index + 1];
    const option = OPTIONS.get(name);
    if (equals >= 0) {
      addOption(given, name, text.slice(equals + 1), magic);
    } else if (!option || option.shape === 'flag' || !next || (next.text.startsWith('--') && !next.quoted)) {
      addOption(given, name, null, magic);
    } else {
      addOption(given, name, next.text, magic);
      index += 1;
    }
  }
  return { positional, given };
}
