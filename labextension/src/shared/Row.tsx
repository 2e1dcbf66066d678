import { memo, useState, type MouseEvent } from 'react';

import type { Column } from './columns';
import { Cell, RunCell } from './cells';
import type { HistoryStore } from './store';
import type { RunRow } from './types';
import { useWords } from './words';

export interface RowProps {
  row: RunRow | undefined;
  /** Its place in the table; of a row that is held on top, its place among these. */
  index: number;
  held?: boolean;
  /** It is the one that Tab leads to. */
  active: boolean;
  opened: boolean;
  selected: boolean;
  base: boolean;
  pinned: boolean;
  columns: Column[];
  baseline: RunRow | undefined;
  store: HistoryStore;
  /** Another one where the store has something new, such as a curve. */
  rev: number;
  /** The buttons for baseline and pin stand in the row of the pointer; else only what is set is shown. */
  marks: boolean;
  onActive: (index: number) => void;
  onOpen: (run: string) => void;
  onMenu: (event: MouseEvent<HTMLElement>, run: string) => void;
  stop: ((run: string) => void) | undefined;
}

/**
 * A row of the table. While the table scrolls, a row that went out of sight is given the next run to show: making an
 * element costs several times as much as giving it another text. Where it stands is said by CSS's `order`.
 */
export const Row = memo(function Row(props: RowProps) {
  const { row, index, held = false, active, selected, base, opened, store, columns } = props;
  const trans = useWords();
  const [under, setUnder] = useState(false);
  const [focused, setFocused] = useState(false);
  const near = under || focused;
  if (!row) {
    return (
      <tr
        role="row"
        style={{ order: index }}
        data-index={index}
        tabIndex={-1}
        className="nbp-wait"
        aria-busy="true"
      >
        <td role="gridcell">…</td>
      </tr>
    );
  }
  return (
    <tr
      role="row"
      style={{ order: index }}
      data-index={held ? undefined : index}
      data-run={row.run}
      tabIndex={active ? 0 : -1}
      aria-rowindex={held ? undefined : index + 2}
      aria-selected={selected}
      className={[held ? 'nbp-held' : base ? 'nbp-base' : '', opened ? 'nbp-opened' : ''].join(' ')}
      onFocus={() => {
        setFocused(true);
        if (!held) {
          props.onActive(index);
        }
      }}
      onBlur={() => setFocused(false)}
      onMouseEnter={() => setUnder(true)}
      onMouseLeave={() => setUnder(false)}
      onDoubleClick={() => props.onOpen(row.run)}
      onContextMenu={(event) => props.onMenu(event, row.run)}
    >
      <td role="gridcell" className="nbp-check">
        <input
          type="checkbox"
          tabIndex={-1}
          aria-label={trans.__('check %1', row.run)}
          checked={selected}
          onChange={() => store.toggle(row.run)}
        />
      </td>
      <RunCell
        row={row}
        base={base}
        pinned={props.pinned}
        near={near && props.marks}
        store={store}
        onOpen={props.onOpen}
        stop={props.stop}
      />
      {columns.map((column) => (
        <Cell
          key={column.id}
          column={column}
          row={row}
          baseline={props.baseline}
          store={store}
          rev={props.rev}
        />
      ))}
    </tr>
  );
});
