import { shown } from './words';

/**
 * Whether a check's threshold is one: names, `champion.NAME`, numbers, `+ - * /`, comparisons, and/or/not, abs, min, max.
 * Only read here, never computed. `nbpipe/notebook/thresholds.py` says the same of Python's own syntax tree.
 */

const TOKEN =
  /\s*(?:(\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([\p{XID_Start}_]\p{XID_Continue}*)|(<=|>=|==|!=|\*\*|\/\/|[-+*/<>().,%@&|^~[\]])|("[^"]*"|'[^']*'))/uy;
const COMPARES = new Set(['<', '<=', '>', '>=', '==', '!=']);
const CALLS = new Set(['abs', 'min', 'max']);
const FORBIDDEN_WORDS = new Set([
  'in',
  'is',
  'lambda',
  'if',
  'else',
  'for',
  'await',
  'True',
  'False',
  'None',
]);
const LONGEST = 1000;

type Kind = 'compares' | 'value';

interface Token {
  kind: 'number' | 'name' | 'sign' | 'text' | 'end';
  text: string;
}

export function threshold(text: string): string {
  if (text.length > LONGEST) {
    throw new Error(`a threshold has ${LONGEST} characters at most`);
  }
  if (new Reader(text).expression() === 'value') {
    throw new Error(`${shown(text)} compares nothing; write something like 'acc >= 0.9'`);
  }
  return text.trim();
}

class Reader {
  private readonly tokens: Token[] = [];
  private at = 0;

  constructor(private readonly text: string) {
    const trimmed = text.trim();
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < trimmed.length) {
      const match = TOKEN.exec(trimmed);
      if (!match) {
        throw this.broken();
      }
      const [, number, name, sign, string] = match;
      const kind =
        number !== undefined ? 'number' : name !== undefined ? 'name' : sign !== undefined ? 'sign' : 'text';
      this.tokens.push({ kind, text: number ?? name ?? sign ?? string ?? '' });
    }
  }

  expression(): Kind {
    const kind = this.any();
    const rest = this.peek();
    if (rest.kind !== 'end') {
      throw rest.text === '.' || rest.text === '(' || rest.text === '[' || FORBIDDEN_WORDS.has(rest.text)
        ? this.refused()
        : this.broken();
    }
    return kind;
  }

  private any(): Kind {
    return this.joined('or', () => this.joined('and', () => this.negated()));
  }

  private joined(word: string, part: () => Kind): Kind {
    let kind = part();
    while (this.takes(word)) {
      part();
      kind = 'compares';
    }
    return kind;
  }

  private negated(): Kind {
    if (this.takes('not')) {
      this.negated();
      return 'compares';
    }
    return this.compared();
  }

  private compared(): Kind {
    let kind = this.sum();
    while (COMPARES.has(this.peek().text)) {
      this.at += 1;
      this.sum();
      kind = 'compares';
    }
    return kind;
  }

  private sum(): Kind {
    let kind = this.operand();
    for (;;) {
      const { text } = this.peek();
      if (['**', '//', '%', '@', '&', '|', '^'].includes(text)) {
        throw this.refused();
      }
      if (!['+', '-', '*', '/'].includes(text)) {
        return kind;
      }
      this.at += 1;
      this.operand();
      kind = 'value';
    }
  }

  private operand(): Kind {
    const token = this.peek();
    this.at += 1;
    if (token.text === '-' || token.text === '+') {
      this.operand();
      return 'value';
    }
    if (token.text === '(') {
      const kind = this.any();
      this.closes(')');
      return kind;
    }
    if (token.kind === 'number') {
      if (!Number.isFinite(Number(token.text.replaceAll('_', '')))) {
        throw this.refused();
      }
      return 'value';
    }
    if (
      token.kind === 'text' ||
      token.text === '~' ||
      token.text === '[' ||
      FORBIDDEN_WORDS.has(token.text)
    ) {
      throw this.refused();
    }
    if (token.kind !== 'name' || ['and', 'or', 'not'].includes(token.text)) {
      throw this.broken();
    }
    return this.named(token.text);
  }

  private named(name: string): Kind {
    const { text } = this.peek();
    if (text === '(') {
      if (!CALLS.has(name)) {
        throw this.refused();
      }
      this.at += 1;
      this.any();
      while (this.takes(',')) {
        this.any();
      }
      this.closes(')');
    } else if (name === 'champion' && text === '.') {
      this.at += 1;
      const { kind, text: metric } = this.peek();
      if (kind !== 'name') {
        throw this.broken();
      }
      if (metric.startsWith('__')) {
        throw this.refused();
      }
      this.at += 1;
    } else if (name === 'champion' || name.startsWith('__') || text === '.') {
      throw this.refused();
    }
    return 'value';
  }

  private peek(): Token {
    return this.tokens[this.at] ?? { kind: 'end', text: '' };
  }

  private takes(text: string): boolean {
    const found = this.peek().text === text;
    this.at += found ? 1 : 0;
    return found;
  }

  private closes(text: string): void {
    if (!this.takes(text)) {
      throw this.peek().text === '=' ? this.refused() : this.broken();
    }
  }

  private broken(): Error {
    return new Error(`${shown(this.text)} is not an expression such as 'acc >= 0.9'`);
  }

  private refused(): Error {
    return new Error(
      `${shown(this.text)} is not allowed in a threshold: names, champion.NAME, numbers, + - * /, comparisons, ` +
        'and/or/not, abs, min and max are',
    );
  }
}
