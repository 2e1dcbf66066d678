import type { CSSProperties } from 'react';

import type { Span, Style } from './ansi';

/** One line; what is searched for is marked. */
export function LogLine({ pieces, mark }: { pieces: Span[]; mark: string }) {
  return (
    <>
      {marked(pieces, mark.toLowerCase()).map(({ text, style, hit }, n) => {
        const Tag = hit ? 'mark' : 'span';
        return (
          <Tag key={n} className={classes(style)} style={colours(style)}>
            {text}
          </Tag>
        );
      })}
    </>
  );
}

/** Cuts the pieces where a match begins and ends. */
export function marked(pieces: Span[], wanted: string): (Span & { hit: boolean })[] {
  const whole = pieces
    .map((piece) => piece.text)
    .join('')
    .toLowerCase();
  const cuts: number[] = [];
  for (
    let at = wanted ? whole.indexOf(wanted) : -1;
    at >= 0;
    at = whole.indexOf(wanted, at + wanted.length)
  ) {
    cuts.push(at, at + wanted.length);
  }
  let start = 0;
  return pieces.flatMap(({ text, style }) => {
    const end = start + text.length;
    const edges = [start, ...cuts.filter((cut) => cut > start && cut < end), end];
    const parts = edges.slice(1).map((to, n) => {
      const from = edges[n] ?? start;
      // Before an odd number of cuts lies the beginning of a match.
      const hit = cuts.filter((cut) => cut <= from).length % 2 === 1;
      return { text: text.slice(from - start, to - start), style, hit };
    });
    start = end;
    return parts;
  });
}

function classes(style: Style): string | undefined {
  const { color, back, bold, dim, italic, underline, struck, inverse } = style;
  return (
    [
      typeof color === 'number' ? `nbp-ansi-${color}` : '',
      typeof back === 'number' ? `nbp-ansi-back-${back}` : '',
      bold && 'nbp-ansi-bold',
      dim && 'nbp-dim',
      italic && 'nbp-ansi-italic',
      underline && 'nbp-ansi-underline',
      struck && 'nbp-ansi-struck',
      inverse && 'nbp-ansi-inverse',
    ]
      .filter(Boolean)
      .join(' ') || undefined
  );
}

/** Colours of others are moved towards the text's, so that they can be read in any theme. */
function colours({ color, back }: Style): CSSProperties | undefined {
  const found: CSSProperties = {};
  if (typeof color === 'string') {
    found.color = `color-mix(in srgb, ${color} 70%, var(--nbp-text))`;
  }
  if (typeof back === 'string') {
    found.background = `color-mix(in srgb, ${back} 45%, var(--nbp-bg))`;
  }
  return typeof color === 'string' || typeof back === 'string' ? found : undefined;
}
