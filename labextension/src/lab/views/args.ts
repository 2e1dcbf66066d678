/** What a view is of; what it is restored with after a reload. */
export type Args = Record<string, string | readonly string[]>;

/** Whether something is said that the tab does not show: another stage of a log, another baseline. What is not said may stay. */
export function asksForAnother(said: Args, shown: Args): boolean {
  const plain = (value: Args[string] | undefined) =>
    JSON.stringify(typeof value === 'object' ? [...value].sort() : value);
  return Object.keys(said).some((key) => plain(said[key]) !== plain(shown[key] ?? ''));
}
