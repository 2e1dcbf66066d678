import { useEffect, useRef, useSyncExternalStore } from 'react';

import { marksOf } from '../../shared/graph/marks';
import { PipelineGraph } from '../../shared/graph/PipelineGraph';
import { Reading } from '../Reading';
import { useTrans } from '../trans';
import type { Actions } from './actions';
import type { PanelModel } from './model';

/** The graph of the notebook in front; a click shows the cell. */
export function PipelineSection({ model, actions }: { model: PanelModel; actions: Actions }) {
  const { path, pipeline, plan, latest, problem, stage, absent, revealed } = useSyncExternalStore(
    model.subscribe,
    model.get,
  );
  const trans = useTrans();
  const graph = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const named = revealed && `[data-stage="${CSS.escape(revealed.stage)}"]`;
    const node = named && graph.current?.querySelector<HTMLElement>(named);
    if (node) {
      node.scrollIntoView({ block: 'nearest' });
      node.focus({ preventScroll: true });
    }
  }, [revealed]);
  if (absent) {
    return null;
  }
  if (!path) {
    return <p className="nbp-empty">{trans.__('Open a notebook to see its pipeline.')}</p>;
  }
  if (!pipeline) {
    return <Reading problem={problem} />;
  }
  const untagged = pipeline.stages.length === 0;
  // That a notebook has no stages yet is no mistake of any cell.
  const errors = pipeline.problems.filter(
    ({ severity, cell }) => severity === 'error' && !(untagged && cell === null),
  );
  return (
    <>
      {errors.slice(0, 3).map((error, index) => (
        <p key={index} className="nbp-problem" role="alert">
          {error.message} <span className="nbp-dim">{error.fix}</span>{' '}
          {error.cell === null && !error.id ? null : (
            <button
              type="button"
              className="nbp-link"
              onClick={() => void model.nbpipe.notebooks.jump(path, error.id, error.cell ?? undefined)}
            >
              {trans.__('Show the cell')}
            </button>
          )}
        </p>
      ))}
      {errors.length > 3 ? (
        <p className="nbp-hint">{trans._n('and %1 more', 'and %1 more', errors.length - 3)}</p>
      ) : null}
      {untagged ? (
        <Untagged model={model} actions={actions} />
      ) : (
        <div ref={graph}>
          <PipelineGraph
            mode="compact"
            stages={pipeline.stages}
            edges={pipeline.edges}
            marks={marksOf({ pipeline, plan, progress: latest })}
            selected={stage || undefined}
            onJump={(name) => model.jump(name)}
            onMenu={(name, place) => actions.stageMenu(name, place)}
          />
        </div>
      )}
    </>
  );
}

/** A notebook without stages: what to do first. */
function Untagged({ model, actions }: { model: PanelModel; actions: Actions }) {
  const trans = useTrans();
  const { notebooks } = model.nbpipe;
  const open = notebooks.selectedCell(model.get().path) !== '';
  return (
    <div className="nbp-empty">
      <p>{trans.__('Tag a cell to make it a stage of a pipeline.')}</p>
      <div className="nbp-buttons">
        <button
          type="button"
          className="nbp-button nbp-primary"
          disabled={!open}
          onClick={() => actions.command('nbpipe:tag-cell')}
        >
          {trans.__('Tag this cell')}
        </button>
        {actions.has('nbpipe:suggest-stages') ? (
          <button
            type="button"
            className="nbp-button"
            onClick={() => actions.command('nbpipe:suggest-stages')}
          >
            {trans.__('Suggest stages')}
          </button>
        ) : null}
      </div>
      <p>{trans.__('A stage is a cell that starts with its name:')}</p>
      <pre className="nbp-sample">{'%%stage load\ndf = pd.read_csv("data.csv")'}</pre>
      <p>{trans.__('nbpipe finds out what it needs and gives, and runs it only when that changed.')}</p>
    </div>
  );
}
