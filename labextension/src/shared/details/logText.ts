import { plain, PLAIN, spans, styleAfter, type Span, type Style } from './ansi';

/** More lines are not kept: a browser cannot scroll further, and nobody reads so far. */
const MOST = 400_000;
/** What is shown of one line. */
const WIDEST = 4_000;

/**
 * A log that grows.
 *
 * Responsibilities: lines, the look with which each begins, what a carriage return overwrites, search. It must not know where the
 * text comes from, nor how it is drawn.
 */
export class LogText {
  /** The first lines that were given up. */
  dropped = 0;
  private lines: string[] = [''];
  private styles: Style[] = [PLAIN];

  /** An empty last line does not count. */
  get count(): number {
    return this.lines.at(-1) === '' ? this.lines.length - 1 : this.lines.length;
  }

  append(text: string): void {
    const [first = '', ...more] = text.split('\n');
    this.setLast((this.lines.at(-1) ?? '') + first);
    for (const line of more) {
      const before = this.lines.length - 1;
      this.lines[before] = (this.lines[before] ?? '').replace(/\r+$/, '');
      this.styles.push(styleAfter(this.lines[before] ?? '', this.styles[before] ?? PLAIN));
      this.lines.push('');
      this.setLast(line);
    }
    const over = this.lines.length - MOST;
    if (over > MOST / 10) {
      this.lines = this.lines.slice(over);
      this.styles = this.styles.slice(over);
      this.dropped += over;
    }
  }

  /** Line `n` from 0 as pieces of text. */
  spans(n: number): Span[] {
    const line = this.lines[n] ?? '';
    const cut = line.length > WIDEST ? `${line.slice(0, WIDEST)}…` : line;
    return spans(cut, this.styles[n] ?? PLAIN);
  }

  plain(n: number): string {
    return plain(this.lines[n] ?? '');
  }

  /** Numbers of the lines that hold this text, whatever its case, from line `from` on. */
  search(text: string, from = 0): number[] {
    const wanted = text.toLowerCase();
    const found: number[] = [];
    if (wanted) {
      for (let n = from; n < this.lines.length; n++) {
        if (this.plain(n).toLowerCase().includes(wanted)) {
          found.push(n);
        }
      }
    }
    return found;
  }

  /** Progress bars begin their line anew with a carriage return: only what is written last counts. */
  private setLast(line: string): void {
    const end = /\r+$/.exec(line)?.index ?? line.length;
    const start = line.lastIndexOf('\r', end - 1) + 1;
    this.lines[this.lines.length - 1] = start > 0 ? line.slice(start) : line;
  }
}
