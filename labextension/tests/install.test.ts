import { expect, test } from 'vitest';

import { pipLine } from '../src/lab/cells/pip';

test('names of packages make a line, and nothing else does', () => {
  expect(pipLine('scikit-learn')).toBe('%pip install scikit-learn');
  expect(pipLine(' torch==2.1.0  mlflow[extras]>=3 ')).toBe('%pip install torch==2.1.0 mlflow[extras]>=3');
  for (const evil of [
    '',
    '-r file',
    'a; rm -rf ~',
    'a\n!ls',
    '$HOME',
    '{x}',
    'a && b',
    '--index-url=x a',
    'git+https://x',
  ]) {
    expect(pipLine(evil)).toBeNull();
  }
});
