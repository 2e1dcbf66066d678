import type { Scalar } from './types';
import { ENGLISH, type Words } from './words';

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
export function ago(then: number, now: number, trans: Words = ENGLISH): string {
  const gone = now - then;
  if (gone < 60) {
    return trans.__('just now');
  }
  if (gone < 3600) {
    return trans.__('%1 min ago', Math.floor(gone / 60));
  }
  if (gone < 86400) {
    return trans.__('%1 h ago', Math.floor(gone / 3600));
  }
  return trans._n('%1 day ago', '%1 days ago', Math.floor(gone / 86400));
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

/** `10,000`: with separators for thousands. */
export function whole(number: number): string {
  return number.toLocaleString('en');
}

/** `▲ 0.007`, `▼ 0.02`, or nothing where the values are equal. */
export function delta(now: number, before: number): string {
  return now === before ? '' : `${now > before ? '▲' : '▼'} ${short(Math.abs(now - before))}`;
}
