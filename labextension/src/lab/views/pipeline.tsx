import { useSyncExternalStore } from 'react';

import { marksOf } from '../../shared/graph/marks';
import { PipelineGraph } from '../../shared/graph/PipelineGraph';
import { showMenu } from '../menu';
import { baseName } from '../notebooks';
import { stageEntries } from '../panel/entries';
import type { PipelineModel } from '../pipelineModel';
import { Reading } from '../Reading';
import type { INbpipe } from '../tokens';
import { useTrans } from '../trans';
import { lookWhileVisible } from '../visible';
import { View } from './view';

/** The graph of a notebook, large, with what is stale. */
export function pipelineView(nbpipe: INbpipe, path: string): View {
  const { trans } = nbpipe;
  const model = nbpipe.pipeline(path);
  const view: View = new View(
    nbpipe,
    { path },
    { label: trans.__('Pipeline %1', baseName(path)), caption: path },
    <Pipeline model={model} nbpipe={nbpipe} />,
    () => looking.dispose(),
  );
  const looking = lookWhileVisible(view, model);
  return view;
}

function Pipeline({ model, nbpipe }: { model: PipelineModel; nbpipe: INbpipe }) {
  const { pipeline, plan, latest, problem, stage } = useSyncExternalStore(model.subscribe, model.get);
  const trans = useTrans();
  const { path } = model;
  if (!pipeline) {
    return <Reading problem={problem} />;
  }
  if (pipeline.stages.length === 0) {
    return <p className="nbp-empty">{trans.__('This notebook has no stages yet.')}</p>;
  }
  return (
    <PipelineGraph
      mode="large"
      stages={pipeline.stages}
      edges={pipeline.edges}
      marks={marksOf({ pipeline, plan, progress: latest })}
      selected={stage || undefined}
      onJump={(name) => model.jump(name)}
      onMenu={(name, place) =>
        showMenu(
          stageEntries(
            trans,
            name,
            (part) => void nbpipe.runs.start(path, part, nbpipe.notebooks.find(path)?.context ?? null),
            (one) => model.jump(one),
          ),
          place,
        )
      }
    />
  );
}
