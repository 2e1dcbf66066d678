/** One colour per run, the same in the table, in curves and in the head of a diff. Readable on light and dark. */
const COLOURS = [
  '#3b82c4',
  '#d9822b',
  '#3a9d5d',
  '#c4478a',
  '#8462cf',
  '#b59a17',
  '#1d9aa8',
  '#cf4f45',
  '#6b7f99',
  '#7a9a2e',
];

export function runColour(run: string): string {
  const digits = /\d+/.exec(run)?.[0] ?? '0';
  return COLOURS[Number(digits) % COLOURS.length] ?? '#3b82c4';
}
