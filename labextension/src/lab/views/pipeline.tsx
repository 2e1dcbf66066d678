import { useSyncExternalStore } from 'react';

import { marksOf } from '../../shared/graph/marks';
import { PipelineGraph } from '../../shared/graph/PipelineGraph';
import { showMenu } from '../menu';
import { baseName } from '../notebooks';
import { stageEntries } from '../panel/entries';
import { PipelineModel } from '../pipelineModel';
import type { INbpipe } from '../tokens';
import { useTrans } from '../trans';
import { View } from './view';

/** The graph of a notebook, large, with what is stale. */
export function pipelineView(nbpipe: INbpipe, path: string): View {
  const { trans } = nbpipe;
  const model = new PipelineModel(nbpipe, path);
  const view: View = new View(
    nbpipe,
    { path },
    { label: trans.__('Pipeline %1', baseName(path)), caption: path },
    <Pipeline model={model} nbpipe={nbpipe} />,
    () => model.dispose(),
  );
  model.look(true);
  return view;
}

function Pipeline({ model, nbpipe }: { model: PipelineModel; nbpipe: INbpipe }) {
  const { pipeline, plan, latest, problem, stage } = useSyncExternalStore(model.subscribe, model.get);
  const trans = useTrans();
  const { path } = model;
  if (!pipeline) {
    return problem ? (
      <p className="nbp-problem" role="alert">
        {problem}
      </p>
    ) : (
      <p className="nbp-hint">{trans.__('reading …')}</p>
    );
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
