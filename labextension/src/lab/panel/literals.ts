/** A line that gives a parameter its value: name and type, value, what comes behind. */
const LINE = /^([A-Za-z_]\w*)(\s*:[^=\n]*)?(\s*=(?!=)\s*)/;

/** A number as Python writes a float. */
const FLOAT = /^[+-]?(\d[\d_]*\.\d*|\.\d+|\d[\d_]*(\.\d*)?e[+-]?\d+)$/i;

/** A float that is a whole number: JSON tells it from an integer, JavaScript does not. */
export class Float {
  constructor(readonly value: number) {}
}

/** A value of JSON whose whole floats are kept apart. */
export type Exact = string | number | boolean | null | Float | Exact[] | { [key: string]: Exact };

/** JSON as it stands; where the browser does not say how a number is written, whole floats are integers. */
export function parseExactly(text: string): Exact {
  return JSON.parse(text, (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && Number.isInteger(value) && /[.e]/i.test(context?.source ?? '')
      ? new Float(value)
      : value,
  ) as Exact;
}

/**
 * The source with these values. What is written over several lines stays as it is. Whole numbers of the names in `floats`, and
 * those that stand in the place of a float, are written as floats.
 */
export function withValues(
  source: string,
  values: Readonly<Record<string, Exact>>,
  floats: ReadonlySet<string> = new Set(),
): { source: string; set: string[] } {
  const set: string[] = [];
  const begins = statementLines(source);
  const lines = source.split('\n').map((line, n) => {
    const [head, name = ''] = begins.has(n) ? (LINE.exec(line) ?? []) : [];
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (head === undefined || value === undefined) {
      return line;
    }
    const end = endOfValue(line, head.length);
    if (end < 0) {
      return line;
    }
    set.push(name);
    const isFloat = floats.has(name) || FLOAT.test(line.slice(head.length, end));
    const exact = isFloat && typeof value === 'number' && Number.isInteger(value) ? new Float(value) : value;
    return head + literal(exact) + line.slice(end);
  });
  return { source: lines.join('\n'), set };
}

/** Numbers of the lines with which a statement begins: not those inside a text or brackets that were opened above. */
function statementLines(source: string): Set<number> {
  const begins = new Set<number>();
  let depth = 0;
  let quote = '';
  let n = 0;
  for (let at = 0; at <= source.length; at += 1) {
    const sign = source[at] ?? '';
    const isNew = at === 0 || source[at - 1] === '\n';
    if (isNew && depth === 0 && !quote && source[at - 2] !== '\\') {
      begins.add(n);
    }
    if (sign === '\n') {
      n += 1;
      // A short text that is not closed in its line is a mistake, and ends there.
      quote = quote.length === 1 && source[at - 1] !== '\\' ? '' : quote;
    } else if (quote) {
      if (sign === '\\' && source[at + 1] !== '\n') {
        at += 1;
      } else if (source.startsWith(quote, at)) {
        at += quote.length - 1;
        quote = '';
      }
    } else if (sign === '"' || sign === "'") {
      quote = source.startsWith(sign.repeat(3), at) ? sign.repeat(3) : sign;
      at += quote.length - 1;
    } else if (sign === '#') {
      const end = source.indexOf('\n', at);
      at = (end < 0 ? source.length : end) - 1;
    } else if (sign && '([{'.includes(sign)) {
      depth += 1;
    } else if (sign && ')]}'.includes(sign)) {
      depth = Math.max(0, depth - 1);
    }
  }
  return begins;
}

/** Where the value ends: before the space in front of a comment. -1 where it goes on in the next line, or is not alone. */
function endOfValue(line: string, from: number): number {
  let depth = 0;
  let quote = '';
  let end = from;
  for (let at = from; at < line.length; at += 1) {
    const sign = line[at] ?? '';
    if (quote) {
      if (sign === '\\') {
        at += 1;
      } else if (sign === quote) {
        quote = '';
      }
    } else if (sign === '"' || sign === "'") {
      if (line.startsWith(sign.repeat(3), at)) {
        return -1;
      }
      quote = sign;
    } else if ('([{'.includes(sign)) {
      depth += 1;
    } else if (')]}'.includes(sign)) {
      depth -= 1;
    } else if (sign === '#') {
      break;
    } else if (depth === 0 && (sign === ';' || sign === '=')) {
      // Another statement or target stands behind: it would be lost with the value.
      return -1;
    }
    if (sign.trim()) {
      end = at + 1;
    }
  }
  return depth === 0 && quote === '' && !line.endsWith('\\') ? Math.min(end, line.length) : -1;
}

/** A value as Python writes it. */
export function literal(value: Exact): string {
  if (value instanceof Float) {
    const text = JSON.stringify(value.value);
    return text.includes('e') ? text : `${text}.0`;
  }
  if (value === null) {
    return 'None';
  }
  if (typeof value === 'boolean') {
    return value ? 'True' : 'False';
  }
  if (Array.isArray(value)) {
    return `[${value.map(literal).join(', ')}]`;
  }
  if (typeof value === 'object') {
    return `{${Object.entries(value)
      .map(([name, one]) => `${JSON.stringify(name)}: ${literal(one)}`)
      .join(', ')}}`;
  }
  return JSON.stringify(value);
}
