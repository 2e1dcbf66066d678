import { Refused, type Backend } from '../../shared/backend';

/** Runs among which the one before another is looked for. */
const LOOKED = 50;

/** The newest run where none is named; "" where there is none. */
export async function runToRead(backend: Backend, run: string): Promise<string> {
  return run || ((await newest(backend, 1))[0] ?? '');
}

/** The runs where two or more are named. One is compared with the run before it, else with now; without any, the newest is. */
export async function runsToCompare(backend: Backend, runs: string[]): Promise<string[]> {
  if (runs.length > 1) {
    return runs;
  }
  const all = await newest(backend, LOOKED);
  const [run = all[0]] = runs;
  if (run === undefined) {
    return [];
  }
  const at = all.indexOf(run);
  return [run, (at < 0 ? undefined : all[at + 1]) ?? 'now'];
}

async function newest(backend: Backend, limit: number): Promise<string[]> {
  try {
    return (await backend.page({ limit })).rows.map(({ run }) => run);
  } catch (error) {
    if (error instanceof Refused) {
      // The tab asks as well, and shows why there is no answer.
      return [];
    }
    throw error;
  }
}
