import {
  useCallback,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type KeyboardEvent,
  type MouseEvent,
} from 'react';

import type { Column } from './columns';
import { Cell, RunCell } from './cells';
import type { HistoryHost } from './HistoryView';
import type { HistoryState, HistoryStore } from './store';
import type { RunRow } from './types';
import { useHeight } from './useHeight';
import { useWords } from './words';

/** Height of a row: fixed, so that the place of each of ten thousand is known without drawing it. */
const ROW = 30;
const HEAD = 32;
/** Rows drawn beyond what is seen, above and below. */
const MARGIN = 6;

interface Props {
  store: HistoryStore;
  state: HistoryState;
  columns: Column[];
  height: number | 'fill';
  host?: HistoryHost | undefined;
  onOpen: (run: string) => void;
  onCompare: () => void;
}

/** The table. Only the rows in sight are in the document. */
export function RunTable({ store, state, columns, height: wanted, host, onOpen, onCompare }: Props) {
  const trans = useWords();
  const box = useRef<HTMLDivElement>(null);
  const measured = useHeight(box, wanted === 'fill');
  const height = wanted === 'fill' ? measured : wanted;
  const [top, setTop] = useState(0);
  const [active, setActive] = useState(0);
  const follow = useRef(false);
  const { total, query } = state;

  const first = Math.max(0, Math.floor(top / ROW) - MARGIN);
  const last = Math.min(total, Math.ceil((top + height) / ROW) + MARGIN);
  const rows: (RunRow | undefined)[] = [];
  for (let index = first; index < last; index += 1) {
    rows.push(store.row(index));
  }
  const baseline = state.baseline ? store.find(state.baseline) : undefined;
  const curves = columns.filter((column) => column.group === 'Curves').map((column) => column.id.slice(6));
  const seen = rows.map((row) => row?.run ?? '').join(' ');

  useEffect(() => store.look(first, last), [store, first, last, total, state.rev]);
  const curveNames = curves.join('\n');
  useEffect(() => {
    for (const metric of curveNames ? curveNames.split('\n') : []) {
      void store.lookAtCurves(seen.split(' ').filter(Boolean), metric);
    }
  }, [store, seen, curveNames, state.rev]);
  useEffect(() => setActive((now) => Math.min(now, Math.max(total - 1, 0))), [total]);
  useLayoutEffect(() => {
    if (follow.current) {
      follow.current = false;
      box.current?.querySelector<HTMLElement>(`tr[data-index="${active}"]`)?.focus({ preventScroll: true });
    }
  }, [active, top]);

  const go = useCallback(
    (to: number) => {
      const index = Math.max(0, Math.min(to, total - 1));
      const element = box.current;
      follow.current = true;
      if (element) {
        const above = index * ROW;
        const room = element.clientHeight - HEAD;
        if (above < element.scrollTop) {
          element.scrollTop = above;
        } else if (above + ROW > element.scrollTop + room) {
          element.scrollTop = above + ROW - room;
        }
        setTop(element.scrollTop);
      }
      setActive(index);
    },
    [total],
  );

  const menu = (event: MouseEvent<HTMLElement>, run: string) => {
    if (host) {
      event.preventDefault();
      event.stopPropagation();
      host.menu(run, menuPlace(event));
    }
  };
  const keys = (event: KeyboardEvent<HTMLElement>) => {
    if (event.target instanceof HTMLElement && event.target.tagName !== 'TR') {
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const run = store.row(active)?.run ?? '';
    const page = Math.max(1, Math.floor(height / ROW) - 2);
    const actions: Record<string, () => void> = {
      ArrowDown: () => go(active + 1),
      ArrowUp: () => go(active - 1),
      PageDown: () => go(active + page),
      PageUp: () => go(active - page),
      Home: () => go(0),
      End: () => go(total - 1),
      ' ': () => run && store.toggle(run),
      Enter: () => run && onOpen(run),
      c: onCompare,
      b: () => run && store.setBaseline(run),
      p: () => run && store.pin(run),
    };
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      event.stopPropagation();
      action();
    }
  };

  const row = (item: RunRow | undefined, index: number, kind: 'row' | 'held') =>
    item ? (
      <tr
        key={`${kind} ${item.run}`}
        data-index={kind === 'row' ? index : undefined}
        data-run={item.run}
        tabIndex={kind === 'row' && index === active ? 0 : -1}
        aria-rowindex={kind === 'row' ? index + 2 : undefined}
        aria-selected={state.selected.includes(item.run)}
        className={[
          kind === 'held' ? 'nbp-held' : item.run === state.baseline ? 'nbp-base' : '',
          item.run === host?.opened ? 'nbp-opened' : '',
        ].join(' ')}
        onFocus={(event) => {
          if (event.target === event.currentTarget && kind === 'row') {
            setActive(index);
          }
        }}
        onDoubleClick={() => onOpen(item.run)}
        onContextMenu={(event) => menu(event, item.run)}
      >
        <td className="nbp-check">
          <input
            type="checkbox"
            tabIndex={-1}
            aria-label={trans.__('check %1', item.run)}
            checked={state.selected.includes(item.run)}
            onChange={() => store.toggle(item.run)}
          />
        </td>
        <RunCell row={item} state={state} store={store} onOpen={onOpen} stop={host?.stop} />
        {columns.map((column) => (
          <Cell
            key={column.id}
            column={column}
            row={item}
            baseline={baseline}
            store={store}
            rev={state.rev}
          />
        ))}
      </tr>
    ) : (
      <tr key={`wait ${index}`} data-index={index} tabIndex={-1} className="nbp-wait" aria-busy="true">
        <td colSpan={columns.length + 3}>…</td>
      </tr>
    );

  const held = state.pinned.map((run) => store.find(run)).filter((item) => item !== undefined);
  return (
    <div
      className="nbp-scroll"
      ref={box}
      style={wanted === 'fill' ? undefined : { maxHeight: `${height}px` }}
      onScroll={(event) => setTop(Math.floor(event.currentTarget.scrollTop / ROW) * ROW)}
    >
      <table
        role="grid"
        aria-label={trans.__('runs')}
        aria-rowcount={total + 1}
        aria-multiselectable="true"
        onKeyDown={keys}
      >
        <thead>
          <tr aria-rowindex={1}>
            <th scope="col" className="nbp-check">
              <span className="nbp-hidden">{trans.__('checked')}</span>
            </th>
            <Head title={trans.__('run')} sort="run" query={query} store={store} />
            <Head title={trans.__('status')} sort="status" query={query} store={store} />
            {columns.map((column) => (
              <Head
                key={column.id}
                title={column.title}
                sort={column.sort}
                numeric={column.numeric}
                query={query}
                store={store}
              />
            ))}
          </tr>
        </thead>
        {held.length > 0 ? (
          <tbody className="nbp-pins">{held.map((item, n) => row(item, n, 'held'))}</tbody>
        ) : null}
        <tbody>
          {first > 0 ? <Spacer rows={first} columns={columns.length + 3} /> : null}
          {rows.map((item, n) => row(item, first + n, 'row'))}
          {last < total ? <Spacer rows={total - last} columns={columns.length + 3} /> : null}
        </tbody>
      </table>
    </div>
  );
}

/** At the pointer, or below the row where a key asked for it. */
function menuPlace(event: MouseEvent<HTMLElement>): { x: number; y: number } {
  if (event.clientX || event.clientY) {
    return { x: event.clientX, y: event.clientY };
  }
  const { left, bottom } = event.currentTarget.getBoundingClientRect();
  return { x: left + 24, y: bottom };
}

function Spacer({ rows, columns }: { rows: number; columns: number }) {
  return (
    <tr aria-hidden="true" className="nbp-space">
      <td colSpan={columns} style={{ height: `${rows * ROW}px` }} />
    </tr>
  );
}

interface HeadProps {
  title: string;
  sort?: string | undefined;
  numeric?: boolean | undefined;
  query: HistoryState['query'];
  store: HistoryStore;
}

function Head({ title, sort, numeric, query, store }: HeadProps) {
  const mine = sort !== undefined && query.sort === sort;
  const down = query.descending ?? true;
  const order = mine ? (down ? 'descending' : 'ascending') : undefined;
  const turn = () => {
    if (mine && !down) {
      store.ask({ sort: '', descending: true });
    } else {
      store.ask({ sort: sort ?? '', descending: !mine });
    }
  };
  return (
    <th scope="col" aria-sort={order} className={numeric ? 'nbp-number' : undefined} title={title}>
      {sort === undefined ? (
        title
      ) : (
        <button type="button" className="nbp-sort" onClick={turn}>
          {title}
          <span aria-hidden="true">{mine ? (down ? ' ↓' : ' ↑') : ''}</span>
        </button>
      )}
    </th>
  );
}
