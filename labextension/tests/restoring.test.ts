import { expect, test } from 'vitest';

import { literal, withValues } from '../src/lab/panel/literals';

const SOURCE = [
  '%%params',
  'lr: float = 1e-3        # learning rate',
  'model: Literal["cnn", "mlp"] = "cnn"',
  "name = 'a # b'  # no comment in the text",
  'sizes = [',
  '    1,',
  ']',
  'deep = {"a": [1, 2]}',
].join('\n');

test('values replace those that stand there, types and comments stay', () => {
  const { source, set } = withValues(SOURCE, { lr: 0.5, model: 'mlp', name: "it's", deep: { a: null } });
  expect(source.split('\n')).toEqual([
    '%%params',
    'lr: float = 0.5        # learning rate',
    'model: Literal["cnn", "mlp"] = "mlp"',
    'name = "it\'s"  # no comment in the text',
    'sizes = [',
    '    1,',
    ']',
    'deep = {"a": None}',
  ]);
  expect(set).toEqual(['lr', 'model', 'name', 'deep']);
});

test('what goes over several lines is left alone, and so is what is no parameter', () => {
  expect(withValues(SOURCE, { sizes: [2], other: 1, toString: 2 })).toEqual({ source: SOURCE, set: [] });
  expect(withValues('a = """x\ny"""\nb == 1', { a: 'z', b: 2 }).set).toEqual([]);
});

test('values are written as Python writes them', () => {
  expect(literal([true, null, 'a\n"b"', 1.5, { k: false }])).toBe(
    '[True, None, "a\\n\\"b\\"", 1.5, {"k": False}]',
  );
  expect(literal('\u2028\u{1f600}')).toBe('"\u2028\u{1f600}"');
});
