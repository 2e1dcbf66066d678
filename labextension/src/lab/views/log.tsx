import { useState } from 'react';

import { LogView } from '../../shared/details/LogView';
import { Problem } from '../Reading';
import { useTrans } from '../trans';
import { baseName } from '../notebooks';
import type { INbpipe } from '../tokens';
import { useDetails, useReadLog } from '../useDetails';
import { View } from './view';

/** What a run printed, followed while it goes on. */
export function logView(nbpipe: INbpipe, path: string, run: string, stage: string): View {
  const { trans } = nbpipe;
  return new View(
    nbpipe,
    { path, run, stage },
    { label: trans.__('Log %1', run), caption: trans.__('Log of %1, a run of %2', run, baseName(path)) },
    <Log nbpipe={nbpipe} path={path} run={run} first={stage} />,
  );
}

interface Props {
  nbpipe: INbpipe;
  path: string;
  run: string;
  first: string;
}

function Log({ nbpipe, path, run, first }: Props) {
  const [stage, setStage] = useState(first);
  const { details, problem } = useDetails(nbpipe, path, run);
  const read = useReadLog(nbpipe, path, run);
  const trans = useTrans();
  if (!run) {
    return <p className="nbp-empty">{trans.__('There is no run yet.')}</p>;
  }
  return (
    <>
      <Problem text={problem} />
      <LogView
        read={read}
        stages={details?.stages.map(({ name }) => name) ?? []}
        stage={stage}
        onStage={setStage}
        name={run}
      />
    </>
  );
}
