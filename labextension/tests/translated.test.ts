import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

const SRC = join(import.meta.dirname, '../src');
/** Attributes and fields whose texts people read. */
const READ = /^(aria-label|title|placeholder|alt|label|caption|message|okLabel)$/;
const WORD = /\p{L}{2,}/u;
/** The name of the project, and code. */
const KEPT = /^(nbpipe|%nbpipe run)$/;

/** Every text that is read by people and does not go through `__` or `_n`. */
function untranslated(name: string, code: string): string[] {
  const file = ts.createSourceFile(name, code, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const note = (node: ts.Node, text: string): void => {
    if (WORD.test(text) && !KEPT.test(text.trim())) {
      const { line } = file.getLineAndCharacterOfPosition(node.getStart());
      found.push(`${name}:${line + 1} ${text.trim()}`);
    }
  };
  const texts = (node: ts.Node | undefined): void => {
    if (!node) {
      return;
    }
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) {
      note(node, node.text);
    } else if (ts.isTemplateExpression(node)) {
      note(
        node,
        [node.head, ...node.templateSpans.map(({ literal }) => literal)].map((part) => part.text).join('…'),
      );
    } else if (ts.isConditionalExpression(node)) {
      texts(node.whenTrue);
      texts(node.whenFalse);
    } else if (ts.isParenthesizedExpression(node) || ts.isJsxExpression(node)) {
      texts(node.expression);
    } else if (ts.isBinaryExpression(node)) {
      texts(node.right);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isJsxElement(node) && ['code', 'pre'].includes(node.openingElement.tagName.getText())) {
      return;
    }
    if (ts.isJsxText(node)) {
      note(node, node.text.replace(/&\w+;/g, ''));
    } else if (ts.isJsxAttribute(node)) {
      if (READ.test(node.name.getText())) {
        texts(node.initializer);
      }
    } else if (ts.isJsxExpression(node) && !ts.isJsxAttribute(node.parent)) {
      texts(node.expression);
    } else if (ts.isPropertyAssignment(node) && READ.test(node.name.getText())) {
      texts(node.initializer);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : /\.tsx?$/.test(name) ? [path] : [];
  });
}

test('no text of the lab, or of what it shares with the widget, is left in English', () => {
  const all = ['lab', 'shared'].flatMap((folder) => files(join(SRC, folder)));
  expect(all.length).toBeGreaterThan(100);
  expect(all.flatMap((path) => untranslated(relative(SRC, path), readFileSync(path, 'utf8')))).toEqual([]);
});

test('what is left in English is found', () => {
  const code = `const a = { label: 'Run', id: 'run', caption: trans.__('Fine') };
    const b = <p title="Stop it" className="ok">Some text {n} <code>is code</code>{on ? 'left over' : trans.__('x y')}</p>;`;
  expect(untranslated('a.tsx', code)).toEqual([
    'a.tsx:1 Run',
    'a.tsx:2 Stop it',
    'a.tsx:2 Some text',
    'a.tsx:2 left over',
  ]);
});
