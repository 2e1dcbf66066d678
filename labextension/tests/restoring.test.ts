import { expect, test } from 'vitest';

import { Float, literal, parseExactly, withValues } from '../src/lab/panel/literals';

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

test('what stands behind a value in its line is not written over', () => {
  const source = 'lr = 0.1; epochs = 5\na = b = 3\nname = "x; y = 2"';
  expect(withValues(source, { lr: 1, a: 4, name: 'z' })).toEqual({
    source: 'lr = 0.1; epochs = 5\na = b = 3\nname = "z"',
    set: ['name'],
  });
});

test('what looks like a parameter inside a text or brackets is none', () => {
  const lines = [
    '%%params',
    'lr = 1',
    'about = """',
    'lr = 3',
    '\\""" lr = 4',
    "'''",
    'lr = 5',
    '"""',
    "quoted = 'it is # not \\' a comment'  # nor '''",
    'given = dict(',
    'lr = 6, # )',
    ')',
    'long = 1 + \\',
    'lr = 7',
    'lr = 8',
  ];
  const { source, set } = withValues(lines.join('\n'), { lr: 2 });
  const changed = source.split('\n').flatMap((line, n) => (line === lines[n] ? [] : [`${n} ${line}`]));
  expect(changed).toEqual(['1 lr = 2', '14 lr = 2']);
  expect(set).toEqual(['lr', 'lr']);
});

test('values are written as Python writes them', () => {
  expect(literal([true, null, 'a\n"b"', 1.5, { k: false }])).toBe(
    '[True, None, "a\\n\\"b\\"", 1.5, {"k": False}]',
  );
  expect(literal('\u2028\u{1f600}')).toBe('"\u2028\u{1f600}"');
});

test('a float that is a whole number stays a float, and an integer an integer', () => {
  const source = 'lr: float = 1e-3  # rate\nscale = 0.5\nepochs = 5\nratio = None';
  const { source: now } = withValues(
    source,
    { lr: 1, scale: 2, epochs: 7, ratio: new Float(3) },
    new Set(['lr']),
  );
  expect(now).toBe('lr: float = 1.0  # rate\nscale = 2.0\nepochs = 7\nratio = 3.0');
  expect(literal([new Float(1), 2, { a: new Float(-0.0) }, new Float(1e30)])).toBe(
    '[1.0, 2, {"a": 0.0}, 1e+30]',
  );
});

test('JSON says which whole numbers are floats, where the browser passes that on', () => {
  const passed = { seen: false };
  JSON.parse('1.0', (_key: string, _value: unknown, context?: { source?: string }) => {
    passed.seen = context?.source === '1.0';
  });
  const [one, two] = parseExactly('[1.0, 2]') as [unknown, unknown];
  expect(one).toEqual(passed.seen ? new Float(1) : 1);
  expect(two).toBe(2);
});
