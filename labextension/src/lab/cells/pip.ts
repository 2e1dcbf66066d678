/** Names of distributions, with versions: nothing that a shell or IPython would read as more. */
const PLAIN = /^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?([=<>!~]=?=?[A-Za-z0-9.*]+)?$/;

/** The line that installs these packages where the kernel runs; null where they are no names of packages. */
export function pipLine(packages: string): string | null {
  const names = packages.trim().split(/\s+/).filter(Boolean);
  return names.length && names.every((name) => PLAIN.test(name)) ? `%pip install ${names.join(' ')}` : null;
}
