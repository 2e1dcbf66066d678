import { describe, expect, it } from 'vitest';
import {
  applied,
  dropLine,
  firstLine,
  lineOf,
  metaOf,
  optionsOf,
  putLine,
  readTag,
} from '../src/lab/cells/tags';

const cell = (source: string, tags: string[] = [], meta?: unknown) => ({ source, tags, meta });

describe('what a cell is', () => {
  it('is said by its first line that is not blank', () => {
    expect(readTag(cell('\n  \n%%stage train --gpus 1\nx = 1'))).toMatchObject({
      role: 'stage',
      name: 'train',
      options: '--gpus 1',
      from: 'magic',
      error: '',
    });
    expect(readTag(cell('%%params smoke\nn = 1'))).toMatchObject({ role: 'profile', name: 'smoke' });
    expect(readTag(cell('x = 1\n%%stage train'))).toBeNull();
    expect(readTag(cell('%%time\nx = 1'))).toBeNull();
    expect(readTag(cell(''))).toBeNull();
  });
  it('is said by its tags where it has no line, and by its metadata where it has neither', () => {
    const meta = { stage: 'train', options: '--gpus 1' };
    expect(readTag(cell('x', ['slow', 'stage:load'], meta))).toMatchObject({ name: 'load', from: 'tags' });
    expect(readTag(cell('x', ['parameters']))).toMatchObject({ role: 'params' });
    expect(readTag(cell('x', ['slow'], meta))).toMatchObject({
      name: 'train',
      options: '--gpus 1',
      from: 'metadata',
    });
    expect(readTag(cell('%%check ok', ['stage:load'], meta))).toMatchObject({ role: 'check', name: 'ok' });
    expect(readTag(cell('x', [], { setup: true }))).toMatchObject({ role: 'setup' });
    for (const odd of [null, 1, 'train', ['stage'], {}, { stage: 1 }, { setup: 'yes' }]) {
      expect(readTag(cell('x', [], odd))).toBeNull();
    }
  });
  it('keeps what is wrong with it, and as much of the name as there is', () => {
    expect(readTag(cell('%%stage Train'))?.error).toContain('Write');
    expect(readTag(cell('%%stage train --gpu 1'))).toMatchObject({ name: 'train' });
    expect(readTag(cell('%%stage train --gpu 1'))?.error).toContain('there is no option --gpu');
    expect(readTag(cell('x', [], { stage: '<img src=x>' }))?.error).toContain('not a valid name');
    expect(readTag(cell('x', [], { stage: 'a', options: '--gpus x' }))?.error).toContain('--gpus');
  });
});

describe('tagging', () => {
  it('puts the line in front, or in the place of the one that is there', () => {
    const put = (source: string, line: string) => applied(source, putLine(source, line));
    expect(put('x = 1', '%%stage a')).toBe('%%stage a\nx = 1');
    expect(put('', '%%stage a')).toBe('%%stage a');
    expect(put('\n%%stage a --gpus 1\nx = 1', '%%stage b --gpus 1')).toBe('\n%%stage b --gpus 1\nx = 1');
    expect(put('%%time\nx', '%%stage a')).toBe('%%stage a\n%%time\nx');
  });
  it('and untagging gives the cell back as it was', () => {
    for (const source of ['x = 1', '', 'x = 1\ny = 2\n', '\n\nx', '%%time\nx', 'é = "😀"\n']) {
      const tagged = applied(source, putLine(source, '%%stage a'));
      const edit = dropLine(tagged);
      expect(edit && applied(tagged, edit)).toBe(source);
    }
    expect(dropLine('x = 1')).toBeNull();
  });
  it('keeps options, and writes only lines that the grammar has', () => {
    const line = `%%stage --gpus 1 a --env "B=x y" --reads 'my data/a.csv' --cache # why`;
    expect(optionsOf(line)).toBe(`--gpus 1 --env 'B=x y' --reads 'my data/a.csv' --cache`);
    expect(readTag(cell(lineOf('stage', 'b', optionsOf(line))))).toMatchObject({ name: 'b', error: '' });
    expect(lineOf('profile', 'smoke')).toBe('%%params smoke');
    expect(lineOf('setup', '')).toBe('%%setup');
    expect(() => lineOf('stage', 'a\nimport os')).toThrow('does not print');
    expect(() => lineOf('stage', 'x y')).toThrow('a name has no blanks');
    expect(() => lineOf('stage', '')).toThrow('needs a name');
    expect(() => metaOf('stage', 'a', '--gpus {n}')).toThrow('not expanded');
    expect(metaOf('check', 'ok', ' --metric "acc > 1" ')).toEqual({
      check: 'ok',
      options: '--metric "acc > 1"',
    });
    expect(metaOf('setup', '')).toEqual({ setup: true });
  });
  it('looks at the first line of a long cell alone', () => {
    const source = `%%stage a\n${'x = 1\n'.repeat(100_000)}`;
    const started = performance.now();
    for (let n = 0; n < 1000; n += 1) {
      firstLine(source);
    }
    expect(performance.now() - started).toBeLessThan(100);
  });
});
