import { CommandRegistry } from '@lumino/commands';
import { expect, test, vi } from 'vitest';

import { renameStage, replaceSource, tagCell } from '../src/lab/cells/tagging';
import { renamedAfter, renamedLine } from '../src/lab/cells/tags';
import { CellWatch } from '../src/lab/cells/watch';
import { notebook } from './notebooks';

// The lab's own modules name them when they are loaded; jsdom has none.
Object.assign(globalThis, { DragEvent: MouseEvent });
Object.assign(window, {
  matchMedia: () => ({ matches: false, addListener: () => undefined }),
  requestIdleCallback: (call: () => void) => setTimeout(call),
});
const { Notification } = await import('@jupyterlab/apputils');
const { nullTranslator } = await import('@jupyterlab/translation');
const { addTagCommands } = await import('../src/lab/commands/tagging');

test('only the name of the line changes, and names that others wait for', () => {
  expect(renamedLine('%%stage load --reads load.csv', 'load', 'read')).toBe('%%stage read --reads load.csv');
  expect(renamedLine('%%stage   load  # load it', 'load', 'read')).toBe('%%stage   read  # load it');
  expect(renamedLine('%%stage --gpus 1 load', 'load', 'read')).toContain('read');
  expect(renamedLine('%%stage train --after load,clean', 'load', 'read')).toBe(
    '%%stage train --after read,clean',
  );
  expect(renamedLine('%%stage train --after=load', 'load', 'read')).toBe('%%stage train --after=read');
  expect(renamedLine('%%params load', 'load', 'read')).toBe('%%params load');
  expect(renamedLine('%%stage reload --after loader', 'load', 'read')).toBe('%%stage reload --after loader');
  expect(renamedAfter('--after load --gpus 1', 'load', '$&')).toBe('--after $& --gpus 1');
});

test('a stage is renamed in all of its cells at once, in lines, metadata and tags', () => {
  const { model, shared, texts } = notebook(
    '%%stage load\nx = 1',
    'y = x',
    '%%check ok --after load\nassert x',
    'z',
  );
  shared.cells[1]?.setMetadata('nbpipe', { stage: 'load', own: 1 });
  shared.cells[3]?.setMetadata('tags', ['stage:load', 'other']);
  renameStage(model, 'load', 'read');
  expect(texts()).toEqual(['%%stage read\nx = 1', 'y = x', '%%check ok --after read\nassert x', 'z']);
  expect(shared.cells[1]?.getMetadata('nbpipe')).toEqual({ stage: 'read', own: 1 });
  expect(shared.cells[3]?.getMetadata('tags')).toEqual(['stage:read', 'other']);
});

test('the comment of a line stays when its tag is edited', () => {
  const { model, texts } = notebook(
    "%%stage load --reads 'a # b'   # the raw files\nx = 1",
    '%%stage --gpus 1 a # c',
    'y',
  );
  const [first, second, third] = model.cells;
  if (!first || !second || !third) {
    throw new Error('three cells');
  }
  tagCell(first, { role: 'stage', name: 'read', options: '--retries 2' }, 'magic');
  tagCell(third, { role: 'stage', name: 'y', options: '' }, 'magic');
  renameStage(model, 'a', 'b');
  expect(texts()).toEqual([
    '%%stage read --retries 2   # the raw files\nx = 1',
    '%%stage b --gpus 1 # c',
    '%%stage y\ny',
  ]);
  tagCell(first, { role: 'stage', name: 'read', options: '# another' }, 'magic');
  expect(texts()[0]).toBe('%%stage read # another\nx = 1');
});

test('a name that another stage has is asked about, and one that a check has is refused', async () => {
  const source = ['%%stage load\nx = 1', '%%stage train\ny = x', '%%check ok\nassert y'];
  const { model, texts } = notebook(...source);
  const target = {
    panel: () => ({ content: { model } }),
    path: () => 'n.ipynb',
    stage: ({ stage }: { stage: string }) => stage,
    cell: () => null,
    state: () => null,
  };
  const commands = new CommandRegistry();
  const nbpipe = { trans: nullTranslator.load('nbpipe'), notebooks: { activateIfLost: () => undefined } };
  addTagCommands(commands, nbpipe as never, target as never, {} as never);
  const rename = (stage: string, name: string) => commands.execute('nbpipe:rename-stage', { stage, name });
  const answer = async (label: string) => {
    await vi.waitFor(() => expect(document.querySelector('.jp-Dialog button')).not.toBeNull());
    const buttons = [...document.querySelectorAll<HTMLElement>('.jp-Dialog button')];
    buttons.find(({ textContent }) => textContent.includes(label))?.click();
  };
  expect(await rename('train', 'ok')).toBe(false);
  expect(await rename('ok', 'load')).toBe(false);
  expect(Notification.manager.notifications.map(({ message }) => message)).toEqual([
    '“load” is the name of another part of the pipeline. Choose another.',
    '“ok” is the name of another part of the pipeline. Choose another.',
  ]);
  const refused = rename('train', 'load');
  await answer('Cancel');
  expect(await refused).toBe(false);
  expect(texts()).toEqual(source);
  const joined = rename('train', 'load');
  await answer('Make them one stage');
  expect(await joined).toBe(true);
  expect(texts()[1]).toBe('%%stage load\ny = x');
});

test('a text is replaced where it differs and nowhere else', () => {
  const { model, shared } = notebook('a = 1\nb = 2\nc = 3');
  const [cell] = model.cells;
  const deltas: unknown[] = [];
  shared.cells[0]?.changed.connect((_, change) => deltas.push(change.sourceChange));
  for (const text of ['a = 1\nb = 22\nc = 3', 'a = 1\nc = 3', 'aa', '', 'a\na\na']) {
    if (cell) {
      replaceSource(cell, text);
    }
    expect(shared.cells[0]?.getSource()).toBe(text);
  }
  expect(deltas[0]).toEqual([{ retain: 11 }, { insert: '2' }]);
});

test('the watcher tells of another tag, and of the first edit of a stage, and of no other keystroke', () => {
  const { model, shared } = notebook('%%stage load\nx = 1', 'y = 2');
  const watch = new CellWatch(model);
  let told = 0;
  watch.changed.connect(() => (told += 1));
  const type = (cell: number, at: number, text: string) => shared.cells[cell]?.updateSource(at, at, text);
  type(1, 0, 'z');
  expect(told).toBe(0);
  type(0, 18, '0');
  type(0, 19, '0');
  expect(told).toBe(1);
  expect(watch.cells().map(({ edited }) => edited)).toEqual([true, true]);
  type(0, 12, 'er');
  expect(watch.cells()[0]?.tag?.name).toBe('loader');
  expect(told).toBe(2);
  shared.cells[1]?.setMetadata('nbpipe', { stage: 'second' });
  expect(watch.cells().map(({ tag }) => tag?.name)).toEqual(['loader', 'second']);
  expect(told).toBe(3);
});

test('an answer settles the edits that it knows of, and leaves those that came after', () => {
  const { model, shared } = notebook('%%stage a\nx = 1', '%%stage b\ny = 2');
  const watch = new CellWatch(model);
  shared.cells[0]?.updateSource(15, 15, '0');
  const { seen } = watch;
  shared.cells[1]?.updateSource(15, 15, '0');
  watch.answered(seen);
  expect(watch.cells().map(({ edited }) => edited)).toEqual([false, true]);
});

test('cells that come and go are followed and forgotten', () => {
  const { model, shared } = notebook('%%stage a\nx = 1');
  const watch = new CellWatch(model);
  shared.insertCell(1, { cell_type: 'code', source: '%%stage b' });
  expect(watch.cells().map(({ tag }) => tag?.name)).toEqual(['a', 'b']);
  shared.deleteCell(0);
  expect(watch.cells().map(({ tag }) => tag?.name)).toEqual(['b']);
  expect(watch.hasStages).toBe(true);
  watch.dispose();
  shared.cells[0]?.setSource('nothing');
  expect(watch.hasStages).toBe(false);
});
