import { cleanup, fireEvent, render, screen } from '@testing-library/preact';
import axe from 'axe-core';
import { afterEach, expect, test, vi } from 'vitest';

import type { PipelineParam } from '../src/shared/api';
import { ParamsForm, type ParamsFormProps } from '../src/shared/ParamsForm';
import { readValue, same, typed } from '../src/shared/paramValues';

afterEach(cleanup);

const param = (
  name: string,
  type: PipelineParam['type'],
  more: Partial<PipelineParam> = {},
): PipelineParam => ({
  name,
  type,
  default: null,
  choices: null,
  help: '',
  required: false,
  secret: false,
  ...more,
});

const PARAMS = [
  param('epochs', 'int', { default: 10, help: 'how often' }),
  param('lr', 'float', { default: 0.001 }),
  param('model', 'choice', { default: 'cnn', choices: ['cnn', 'mlp'] }),
  param('augment', 'bool', { default: true }),
  param('layers', 'list', { default: [64, 32] }),
];

function form(more: Partial<ParamsFormProps> = {}) {
  const onSubmit = vi.fn();
  const onCancel = vi.fn();
  render(
    <ParamsForm
      params={PARAMS}
      profiles={{ smoke: { epochs: 1 } }}
      action="Run"
      onSubmit={onSubmit}
      onCancel={onCancel}
      {...more}
    />,
  );
  return { onSubmit, onCancel, root: screen.getByRole('form') };
}

const field = (name: string) => screen.getByLabelText<HTMLInputElement>(new RegExp(`^${name}`));
const type = (name: string, value: string) => fireEvent.input(field(name), { target: { value } });
function choose(name: string, value: string) {
  field(name).value = value;
  fireEvent(field(name), new Event('change', { bubbles: true }));
}

test('only what was changed is given back, with its type', () => {
  const { onSubmit, root } = form();
  type('epochs', '10');
  type('lr', '1e-2');
  type('layers', '[8, 4]');
  choose('augment', 'false');
  choose('model', 'mlp');
  fireEvent.submit(root);
  expect(onSubmit).toHaveBeenCalledWith({
    params: { lr: 0.01, layers: [8, 4], augment: false, model: 'mlp' },
    profile: '',
  });
});

test('a profile shows its values, and only what differs from them is given', () => {
  const { onSubmit, root } = form();
  expect(field('epochs').placeholder).toBe('10');
  choose('profile', 'smoke');
  expect(field('epochs').placeholder).toBe('1');
  type('epochs', '10');
  fireEvent.submit(root);
  expect(onSubmit).toHaveBeenCalledWith({ params: { epochs: 10 }, profile: 'smoke' });
});

test('what cannot be is said beside its field, and nothing is submitted', () => {
  const { onSubmit, root } = form();
  type('lr', '0.01');
  type('epochs', 'ten');
  expect(field('epochs').getAttribute('aria-invalid')).toBe('true');
  const notes = (field('epochs').getAttribute('aria-describedby') ?? '').split(' ');
  expect(notes.map((id) => document.getElementById(id)?.textContent)).toEqual([
    'how often',
    'a whole number, such as 10',
  ]);
  fireEvent.submit(root);
  expect(onSubmit).not.toHaveBeenCalled();
  expect(document.activeElement).toBe(field('epochs'));
});

test('a parameter without a default needs a value, once Run was asked for', () => {
  const { onSubmit, root } = form({ params: [param('path', 'str', { required: true })] });
  expect(screen.queryByText('needs a value')).toBeNull();
  fireEvent.submit(root);
  expect(screen.getByText('needs a value')).toBeDefined();
  type('path', ' a b ');
  fireEvent.submit(root);
  expect(onSubmit).toHaveBeenCalledWith({ params: { path: ' a b ' }, profile: '' });
});

test('the first field has the focus, and Escape cancels', () => {
  const { onCancel } = form({ profiles: {} });
  expect(document.activeElement).toBe(field('epochs'));
  fireEvent.keyDown(field('lr'), { key: 'Escape' });
  expect(onCancel).toHaveBeenCalledOnce();
});

test('the values of a run that is run again are filled in', () => {
  const { onSubmit, root } = form({ values: { lr: 0.5, layers: [1], gone: 1 } });
  expect([field('lr').value, field('layers').value]).toEqual(['0.5', '[1]']);
  fireEvent.submit(root);
  expect(onSubmit).toHaveBeenCalledWith({ params: { lr: 0.5, layers: [1] }, profile: '' });
});

test('values are read by their type', () => {
  const read = (kind: PipelineParam['type'], text: string) => readValue(param('x', kind), text);
  expect(read('int', '1.0')).toHaveProperty('problem');
  expect(read('int', '99999999999999999999')).toHaveProperty('problem');
  expect(read('float', 'nan')).toHaveProperty('problem');
  expect(read('float', '0x10')).toHaveProperty('problem');
  expect(read('list', '{"a": 1}')).toHaveProperty('problem');
  expect(read('dict', '[1]')).toHaveProperty('problem');
  expect(read('dict', '{"a": 1}')).toEqual({ value: { a: 1 } });
  expect(read('any', 'hello')).toEqual({ value: 'hello' });
  expect(read('any', '3')).toEqual({ value: 3 });
  expect(read('str', '3')).toEqual({ value: '3' });
  expect(read('int', ' ')).toBeUndefined();
  expect(typed(['a'])).toBe('["a"]');
  expect(same({ a: 1, b: [2] }, { b: [2], a: 1 })).toBe(true);
});

test('names, values and help are text', () => {
  const evil = '<img src=x onerror=alert(1)>';
  form({
    params: [param(evil, 'choice', { help: evil, default: evil, choices: [evil] })],
    profiles: { [evil]: {} },
  });
  expect(document.querySelectorAll('img').length).toBe(0);
});

test('axe finds nothing', async () => {
  form();
  const found = await axe.run(document.body, {
    rules: { 'color-contrast': { enabled: false }, region: { enabled: false } },
  });
  expect(found.violations.map((violation) => violation.id)).toEqual([]);
});
