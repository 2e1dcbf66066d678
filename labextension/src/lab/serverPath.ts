/** A path as the server has it: some versions of jupyter-collaboration show the same files on a drive `RTC`. */
export function serverPath(path: string): string {
  return path.replace(/^RTC:\/?/, '');
}
