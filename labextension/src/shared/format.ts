import type { Scalar } from './types';

/** `0.3 s`, `12 s`, `1:12`, `2:03:10`: as on the command line. */
export function duration(seconds: number): string {
  if (seconds < 9.95) {
    return `${Math.max(seconds, 0).toFixed(1)} s`;
  }
  const whole = Math.round(seconds);
  const two = (number: number) => String(number).padStart(2, '0');
  if (whole < 60) {
    return `${whole} s`;
  }
  if (whole < 3600) {
    return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  }
  return `${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
}

/** `just now`, `5 min ago`, `3 h ago`, `2 days ago`. */
export function ago(then: number, now: number): string {
  const gone = now - then;
  if (gone < 60) {
    return 'just now';
  }
  if (gone < 3600) {
    return `${Math.floor(gone / 60)} min ago`;
  }
  if (gone < 86400) {
    return `${Math.floor(gone / 3600)} h ago`;
  }
  const days = Math.floor(gone / 86400);
  return days === 1 ? '1 day ago' : `${days} days ago`;
}

/** At most four significant digits: `0.9213`, `12.5`, `1.2e-5`, `1000`. */
export function metric(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) {
    return String(value);
  }
  const rounded = Number(value.toPrecision(4));
  return Math.abs(rounded) < 1e-4 || Math.abs(rounded) >= 1e7 ? rounded.toExponential() : String(rounded);
}

/** At most two significant digits, for where there is little room. */
export function short(value: number): string {
  const rounded = Number(value.toPrecision(2));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
}

/** A parameter's value as people type it. */
export function scalar(value: Scalar | undefined): string {
  if (value === undefined) {
    return '';
  }
  if (typeof value === 'number') {
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  }
  return String(value);
}

/** Any value of JSON, in one line. */
export function anything(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

/** `512 B`, `1.5 MB`; decimal units. */
export function size(bytes: number): string {
  let number = bytes;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (number < 999.5) {
      return unit === 'B' || number >= 99.5 ? `${number.toFixed(0)} ${unit}` : `${number.toFixed(1)} ${unit}`;
    }
    number /= 1000;
  }
  return `${number.toFixed(1)} TB`;
}

/** `1 run`, `3 runs`, with separators for thousands. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

/** `▲ 0.007`, `▼ 0.02`, or nothing where the values are equal. */
export function delta(now: number, before: number): string {
  return now === before ? '' : `${now > before ? '▲' : '▼'} ${short(Math.abs(now - before))}`;
}
