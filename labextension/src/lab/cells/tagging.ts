import type { ICellModel } from '@jupyterlab/cells';
import type { INotebookModel } from '@jupyterlab/notebook';

import { checkName, isOurs, type Role } from './grammar';
import {
  dropLine,
  firstLine,
  lineOf,
  metaOf,
  putLine,
  readTag,
  renamedAfter,
  renamedLine,
  type Edit,
  type TagStyle,
} from './tags';
import { textOfCell } from './watch';

/** Everything here changes the document, in one transaction each, and only what it has to. */

export interface NewTag {
  role: Role;
  name: string;
  options?: string;
}

const OWN_KEYS = ['stage', 'check', 'profile', 'params', 'setup', 'skip', 'options'];
const OWN_TAGS = /^(?:params|parameters|setup|(?:stage|check|profile):.*)$/;

/** Tag a cell, or change its tag; where it is tagged already, the way it is tagged stays. Throws a `GrammarError`. */
export function tagCell(cell: ICellModel, tag: NewTag, style: TagStyle): void {
  const text = textOfCell(cell);
  const now = readTag(text);
  const way = now && now.from !== 'tags' ? now.from : style;
  if (way === 'magic') {
    const edit = putLine(text.source, lineOf(tag.role, tag.name, tag.options));
    cell.sharedModel.transact(() => {
      if (now?.from === 'tags') {
        dropTags(cell);
      }
      applyEdit(cell, edit);
    });
  } else {
    const meta = metaOf(tag.role, tag.name, tag.options);
    cell.sharedModel.transact(() => {
      dropTags(cell);
      cell.setMetadata('nbpipe', { ...foreignKeys(text.meta), ...meta });
    });
  }
}

/** Take the cell out of the pipeline. Whether there was anything to take. */
export function untagCell(cell: ICellModel): boolean {
  const text = textOfCell(cell);
  const tag = readTag(text);
  if (!tag) {
    return false;
  }
  cell.sharedModel.transact(() => {
    const edit = dropLine(text.source);
    if (edit) {
      applyEdit(cell, edit);
    }
    dropTags(cell);
    dropMeta(cell, text.meta);
  });
  return true;
}

/** What makes a cell what it is. */
export interface Standing {
  readonly line: string;
  readonly tags: readonly string[];
  readonly meta: unknown;
}

export function standingOf(cell: ICellModel): Standing {
  const { tags, meta } = textOfCell(cell);
  return { line: lineAt(cell), tags, meta };
}

/** Make a cell what it was, and leave what else was written in it. */
export function putBack(cell: ICellModel, before: Standing): void {
  const text = textOfCell(cell);
  cell.sharedModel.transact(() => {
    const edit = before.line ? putLine(text.source, before.line) : dropLine(text.source);
    if (edit) {
      applyEdit(cell, edit);
    }
    const others = (tags: readonly string[]) => tags.filter((tag) => !OWN_TAGS.test(tag));
    const same = others(before.tags).join('\n') === others(text.tags).join('\n');
    setTags(
      cell,
      same ? before.tags : [...others(text.tags), ...before.tags.filter((tag) => OWN_TAGS.test(tag))],
    );
    setMeta(cell, { ...foreignKeys(text.meta), ...ownKeys(before.meta) });
  });
}

/** Name -> whether it is a stage or a check. */
export function rolesOf(model: INotebookModel): Map<string, Role> {
  const roles = new Map<string, Role>();
  for (const cell of model.cells) {
    const tag = cell.type === 'code' ? readTag(textOfCell(cell)) : null;
    if (tag && (tag.role === 'stage' || tag.role === 'check') && !roles.has(tag.name)) {
      roles.set(tag.name, tag.role);
    }
  }
  return roles;
}

/** Give a stage another name: in all of its cells, and where others wait for it. */
export function renameStage(model: INotebookModel, from: string, to: string): void {
  checkName(to);
  model.sharedModel.transact(() => {
    for (const cell of model.cells) {
      const text = textOfCell(cell);
      const tag = cell.type === 'code' ? readTag(text) : null;
      if (!tag || tag.error) {
        continue;
      }
      if (tag.from === 'magic') {
        const spot = firstLine(text.source);
        const line = renamedLine(spot.line, from, to);
        if (line !== spot.line) {
          applyEdit(cell, { start: spot.start, end: spot.end, text: line });
        }
      } else if (tag.from === 'metadata') {
        const options = renamedAfter(tag.options, from, to);
        const own = tag.name === from && (tag.role === 'stage' || tag.role === 'check');
        if (own || options !== tag.options) {
          const meta = metaOf(tag.role as Role, own ? to : tag.name, options);
          cell.setMetadata('nbpipe', { ...foreignKeys(text.meta), ...meta });
        }
      } else {
        const tags = text.tags.map((item) => renamedTag(item, from, to));
        if (tags.some((item, n) => item !== text.tags[n])) {
          cell.setMetadata('tags', tags);
        }
      }
    }
  });
}

/** Replace the text of a cell where it differs, and leave what is the same alone, so that cursors stay. */
export function replaceSource(cell: ICellModel, source: string): void {
  const before = cell.sharedModel.getSource();
  let start = 0;
  while (start < before.length && start < source.length && before[start] === source[start]) {
    start += 1;
  }
  let same = 0;
  const most = Math.min(before.length, source.length) - start;
  while (same < most && before[before.length - 1 - same] === source[source.length - 1 - same]) {
    same += 1;
  }
  applyEdit(cell, { start, end: before.length - same, text: source.slice(start, source.length - same) });
}

/** The magic line that a cell has now; "" for none. */
export function lineAt(cell: ICellModel): string {
  const { line } = firstLine(cell.sharedModel.getSource());
  return isOurs(line) ? line : '';
}

function applyEdit(cell: ICellModel, edit: Edit): void {
  cell.sharedModel.updateSource(edit.start, edit.end, edit.text);
}

function dropTags(cell: ICellModel): void {
  const { tags } = textOfCell(cell);
  setTags(
    cell,
    tags.filter((tag) => !OWN_TAGS.test(tag)),
  );
}

function setTags(cell: ICellModel, tags: readonly string[]): void {
  const now = textOfCell(cell).tags;
  if (tags.length === now.length && tags.every((tag, n) => tag === now[n])) {
    return;
  }
  if (tags.length) {
    cell.setMetadata('tags', [...tags]);
  } else {
    cell.deleteMetadata('tags');
  }
}

function dropMeta(cell: ICellModel, meta: unknown): void {
  if (meta !== undefined) {
    setMeta(cell, foreignKeys(meta));
  }
}

function setMeta(cell: ICellModel, meta: Readonly<Record<string, unknown>>): void {
  const now = textOfCell(cell).meta;
  if (Object.keys(meta).length) {
    if (JSON.stringify(meta) !== JSON.stringify(now)) {
      cell.setMetadata('nbpipe', meta);
    }
  } else if (now !== undefined) {
    cell.deleteMetadata('nbpipe');
  }
}

/** Keys under `metadata.nbpipe` that are not a tag's. */
function foreignKeys(meta: unknown): Record<string, unknown> {
  return keysOf(meta, (key) => !OWN_KEYS.includes(key));
}

function ownKeys(meta: unknown): Record<string, unknown> {
  return keysOf(meta, (key) => OWN_KEYS.includes(key));
}

function keysOf(meta: unknown, wanted: (key: string) => boolean): Record<string, unknown> {
  const known = typeof meta === 'object' && meta !== null && !Array.isArray(meta) ? meta : {};
  return Object.fromEntries(Object.entries(known).filter(([key]) => wanted(key)));
}

function renamedTag(tag: string, from: string, to: string): string {
  const [kind, name] = tag.split(':');
  return name === from && ['stage', 'check', 'after'].includes(kind ?? '') ? `${kind ?? ''}:${to}` : tag;
}
