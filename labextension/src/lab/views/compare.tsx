import { useEffect, useState, useSyncExternalStore } from 'react';

import { CompareView } from '../../shared/CompareView';
import { DiffView } from '../../shared/DiffView';
import { HistoryStore } from '../../shared/store';
import { baseName } from '../notebooks';
import { Problem } from '../Reading';
import type { INbpipe } from '../tokens';
import { View } from './view';

/** Runs side by side, and below them what changed between two. */
export function compareView(nbpipe: INbpipe, path: string, runs: string[], baseline: string): View {
  const { trans } = nbpipe;
  const ordered = order(runs, baseline);
  const kept = ordered.filter((run) => run !== 'now');
  const store = new HistoryStore(
    nbpipe.backend(path),
    { selected: kept, baseline },
    undefined,
    undefined,
    trans,
  );
  const [a = '', b = ''] = ordered;
  return new View(
    nbpipe,
    { path, runs, baseline },
    {
      label: trans.__('Compare %1', ordered.join(' ↔ ')),
      caption: trans.__('Runs of %1', baseName(path)),
    },
    <Compare
      nbpipe={nbpipe}
      path={path}
      store={store}
      first={ordered.length === 2 ? [a, b] : undefined}
      table={ordered.length !== 2 || kept.length > 1}
    />,
    () => store.dispose(),
  );
}

/** The older one first, and "now" last; the baseline before any other. */
function order(runs: string[], baseline: string): string[] {
  const rank = (run: string) =>
    run === 'now' ? Infinity : run === baseline ? -1 : Number(/\d+/.exec(run)?.[0] ?? 0);
  return [...runs].sort((one, other) => rank(one) - rank(other));
}

interface Props {
  nbpipe: Pick<INbpipe, 'notebooks'>;
  path: string;
  store: HistoryStore;
  first: [string, string] | undefined;
  table: boolean;
}

export function Compare({ nbpipe, path, store, first, table }: Props) {
  const state = useSyncExternalStore(store.subscribe, store.get);
  const [pair, setPair] = useState(first);
  const [rev, setRev] = useState(0);
  useEffect(() => {
    const { saved } = nbpipe.notebooks;
    const hear = (_: unknown, which: string) => {
      if (which === path) {
        setRev((n) => n + 1);
      }
    };
    saved.connect(hear);
    return () => void saved.disconnect(hear);
  }, [nbpipe, path]);
  return (
    <>
      <Problem text={state.problem} />
      {table ? <CompareView store={store} state={state} onDiff={(a, b) => setPair([a, b])} /> : null}
      {pair ? (
        <DiffView
          key={pair.join(' ')}
          backend={store.backend}
          a={pair[0]}
          b={pair[1]}
          rev={pair.includes('now') ? rev : 0}
        />
      ) : null}
    </>
  );
}
