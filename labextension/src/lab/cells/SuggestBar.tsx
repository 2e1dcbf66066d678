import type { TranslationBundle } from '@jupyterlab/translation';

import { PipelineGraph } from '../../shared/graph/PipelineGraph';
import type { Proposal } from './proposal';

interface Props {
  proposal: Proposal;
  trans: TranslationBundle;
  canUndo: boolean;
  onAccept: () => void;
  onUndo: () => void;
  onClose: () => void;
  onJump: (stage: string) => void;
}

/** Above the notebook while there is a proposal: the graph that it would give, and what to do with it. */
export function SuggestBar({ proposal, trans, canUndo, onAccept, onUndo, onClose, onJump }: Props) {
  const stages = new Set(
    proposal.cells.filter((cell) => cell.role === 'stage' || cell.role === 'check').map((cell) => cell.name),
  );
  return (
    <section
      aria-label={trans.__('Suggested stages')}
      onKeyDown={(event) => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          onClose();
        }
      }}
    >
      <div className="nbp-toolbar">
        <h2 className="nbp-title">
          {trans.__('Suggested')}{' '}
          <span className="nbp-dim">
            {trans._n('%1 stage', '%1 stages', stages.size)},{' '}
            {trans._n('%1 cell', '%1 cells', proposal.cells.length)}
          </span>
        </h2>
        <span className="nbp-dim nbp-grow">{trans.__('Nothing is written until you accept it.')}</span>
        {canUndo ? (
          <button type="button" className="nbp-button" onClick={onUndo}>
            {trans.__('Undo')}
          </button>
        ) : null}
        <button type="button" className="nbp-button" onClick={onClose}>
          {trans.__('Dismiss')}
        </button>
        <button type="button" className="nbp-button nbp-primary" onClick={onAccept}>
          {trans.__('Accept all')}
        </button>
      </div>
      <div className="nbp-SuggestGraph">
        <PipelineGraph
          stages={proposal.pipeline.stages}
          edges={proposal.pipeline.edges}
          marks={{}}
          mode="large"
          onJump={onJump}
        />
      </div>
      {proposal.notes.map((note) => (
        <p key={note} className="nbp-dim nbp-SuggestNote">
          {note}
        </p>
      ))}
    </section>
  );
}
