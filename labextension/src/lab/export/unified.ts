import type { Hunk } from '../../shared/types';

const HEAD = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/** The pieces of one file's unified diff. */
export function hunksOf(text: string): Hunk[] {
  const hunks: Hunk[] = [];
  for (const line of text.split('\n')) {
    const head = HEAD.exec(line);
    if (head) {
      hunks.push({ a_start: Number(head[1]), b_start: Number(head[3]), lines: [] });
    } else if (line) {
      // What comes before the first head names the files.
      hunks.at(-1)?.lines.push(line);
    }
  }
  return hunks;
}
