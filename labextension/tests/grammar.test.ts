import { describe, expect, it } from 'vitest';
import grammar from '../../docs/formats/grammar.json?raw';
import options from '../../nbpipe/notebook/options.py?raw';
import { parseLine, type MagicLine } from '../src/lab/cells/grammar';
import { OPTIONS } from '../src/lab/cells/options';
import { GrammarError, quote, split } from '../src/lab/cells/words';

interface Case {
  line: string;
  gives?: Partial<MagicLine>;
  error?: string;
}
const { cases } = JSON.parse(grammar) as { cases: Case[] };

describe('the examples that both parsers share', () => {
  for (const { line, gives } of cases.filter((item) => item.gives)) {
    it(`${JSON.stringify(line)} gives what they say`, () => {
      expect(parseLine(line)).toEqual({ name: '', options: {}, ...gives });
    });
  }
  for (const { line, error } of cases.filter((item) => item.error)) {
    it(`${JSON.stringify(line)} is the error that they say`, () => {
      let said: unknown;
      try {
        parseLine(line);
      } catch (caught) {
        said = caught;
      }
      expect(said).toBeInstanceOf(GrammarError);
      expect((said as Error).message).toContain(error);
    });
  }
});

it('has the options that Python has', () => {
  const table = options.split('OPTIONS: Mapping')[1] ?? '';
  const names = [...table.matchAll(/^ {4}"([a-z-]+)": Option\("(\w+)"/gm)].map(([, name, field]) => [
    name,
    field,
  ]);
  expect([...OPTIONS].map(([name, option]) => [name, option.field])).toEqual(names);
});

it('quotes a word so that it comes back', () => {
  for (const word of ['a', 'my data/a.csv', "it's", '"', '\\', '', '#1', '--x', 'a\\b', `both ' and "`]) {
    expect(split(quote(word)).map((found) => found.text)).toEqual([word]);
  }
});
