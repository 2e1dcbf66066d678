import type { PipelineView, SuggestView } from '../../shared/api';
import { checkName, parseLine, type Role } from './grammar';
import { lineOf, optionsOf } from './tags';

/** One cell of the proposal: what it would become. */
export interface Proposed {
  id: string;
  role: Role;
  name: string;
  options: string;
  why: string;
}

/** The proposal of `nbpipe suggest`, as far as it was not accepted or put away. Values are replaced, never changed. */
export interface Proposal {
  readonly cells: readonly Proposed[];
  readonly pipeline: PipelineView;
  /** For the notebook's `metadata.nbpipe`, once something of it is accepted. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

/** The proposal in an answer; cells that the notebook has no id for are found by their number. */
export function proposalOf(view: SuggestView, idAt: (cell: number) => string): Proposal {
  const cells = view.cells.flatMap((cell): Proposed[] => {
    const said = parseLine(cell.line);
    const id = cell.id || idAt(cell.cell);
    return id ? [{ id, role: said.role, name: said.name, options: optionsOf(cell.line), why: cell.why }] : [];
  });
  return { cells, pipeline: view.pipeline, metadata: view.metadata, notes: view.notes };
}

/** The line that a cell would get. */
export function proposedLine(cell: Proposed): string {
  return lineOf(cell.role, cell.name, cell.options);
}

export function without(proposal: Proposal, ids: readonly string[]): Proposal {
  return { ...proposal, cells: proposal.cells.filter((cell) => !ids.includes(cell.id)) };
}

/** The proposal with another name for a stage, in its cells and in the graph. Throws a `GrammarError` for one that is none. */
export function renamed(proposal: Proposal, from: string, to: string): Proposal {
  checkName(to);
  const swap = (name: string): string => (name === from ? to : name);
  const { pipeline } = proposal;
  return {
    ...proposal,
    cells: proposal.cells.map((cell) => ({
      ...cell,
      name: cell.role === 'stage' || cell.role === 'check' ? swap(cell.name) : cell.name,
    })),
    pipeline: {
      ...pipeline,
      stages: pipeline.stages.map((stage) => ({ ...stage, name: swap(stage.name) })),
      edges: pipeline.edges.map((edge) => ({
        ...edge,
        source: swap(edge.source),
        target: swap(edge.target),
      })),
    },
  };
}
