import { problemText } from '../shared/backend';
import type { Entry } from './menu';
import type { Part } from './runs';
import type { INbpipe } from './tokens';

/** A line for each target, with its state; one that cannot be chosen where the server does not say. */
export async function targetEntries(
  { api, trans }: INbpipe,
  path: string,
  choose: (on: Pick<Part, 'on'>) => void,
): Promise<Entry[]> {
  const states = {
    ready: '',
    unreachable: trans.__('unreachable'),
    unknown: trans.__('not asked yet'),
  };
  try {
    const { targets } = await api.targets(path);
    return targets.map(({ name, kind, state, detail }) => ({
      label: [name, kind === name ? '' : kind, states[state]].filter(Boolean).join(' · '),
      caption: detail,
      enabled: state !== 'unreachable',
      // Where nothing is said, a stage runs where its own line says; else here.
      run: () => choose(name === 'local' ? {} : { on: name }),
    }));
  } catch (error) {
    return [{ label: problemText(error), enabled: false, run: () => undefined }];
  }
}
