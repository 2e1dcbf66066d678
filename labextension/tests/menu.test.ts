import { afterEach, expect, test } from 'vitest';

import type { Entry } from '../src/lab/menu';

// jsdom has none, and the lab's widgets ask for it when they are read.
Object.assign(globalThis, { DragEvent: MouseEvent });
const { showMenu } = await import('../src/lab/menu');

afterEach(() => document.querySelectorAll('.lm-Menu').forEach((menu) => menu.remove()));

const labels = () => [...document.querySelectorAll('.lm-Menu-itemLabel')].map((node) => node.textContent);

test('a menu opens at once, and what is on its way is put in when it comes', async () => {
  let come: (entries: Entry[]) => void = () => undefined;
  const coming = new Promise<Entry[]>((resolve) => (come = resolve));
  showMenu(coming, { x: 0, y: 0 });
  await expect.poll(labels).toEqual(['…']);
  come([
    { label: 'box · ssh', run: () => undefined },
    { label: 'far · ssh · unreachable', enabled: false, run: () => undefined },
  ]);
  await expect.poll(labels).toEqual(['box · ssh', 'far · ssh · unreachable']);
  expect(document.querySelectorAll('.lm-Menu-item.lm-mod-disabled').length).toBe(1);
});

test('entries that come after the menu was closed go nowhere', async () => {
  let come: (entries: Entry[]) => void = () => undefined;
  const coming = new Promise<Entry[]>((resolve) => (come = resolve));
  showMenu([{ label: 'Export', entries: coming }], { x: 0, y: 0 });
  await expect.poll(labels).toEqual(['Export']);
  document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', keyCode: 27 }));
  come([{ label: 'Airflow…', run: () => undefined }]);
  await coming;
  expect(labels()).not.toContain('Airflow…');
});
