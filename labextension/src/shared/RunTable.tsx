import {
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  type CSSProperties,
  type KeyboardEvent,
  type MouseEvent,
} from 'react';

import type { Column } from './columns';
import type { HistoryHost } from './HistoryView';
import { Row } from './Row';
import type { HistoryState, HistoryStore } from './store';
import type { RunRow } from './types';
import { useHeight } from './useHeight';
import { Widths } from './widths';
import { useWords } from './words';

/** Height of a row: fixed, so that the place of each of ten thousand is known without drawing it. */
const ROW = 30;
const HEAD = 32;
/** Rows drawn beyond what is seen, above and below. */
const MARGIN = 6;
/** Milliseconds without another row in sight. */
const REST = 80;

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
  /** Scrolled to the right: the names of the runs stay where they are. */
  const [aside, setAside] = useState(false);
  const widths = useMemo(() => new Widths(trans), [trans]);
  const table = useRef<HTMLTableElement>(null);
  const follow = useRef(false);
  const { total, query } = state;

  // As many rows at any place: an element that goes away takes the focus with it.
  const slots = Math.ceil(height / ROW) + 2 * MARGIN;
  const first = Math.max(0, Math.min(Math.floor(top / ROW) - MARGIN, total - slots));
  const last = Math.min(total, first + slots);
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
    // Not while the table flies past.
    const resting = setTimeout(() => {
      for (const metric of curveNames ? curveNames.split('\n') : []) {
        void store.lookAtCurves(seen.split(' ').filter(Boolean), metric);
      }
    }, REST);
    return () => clearTimeout(resting);
  }, [store, seen, curveNames, state.rev]);
  useEffect(() => setActive((now) => Math.min(now, Math.max(total - 1, 0))), [total]);
  useLayoutEffect(() => {
    const row = box.current?.querySelector<HTMLElement>(`tr[data-index="${active}"]`);
    const focused = document.activeElement;
    if (follow.current) {
      follow.current = false;
      row?.focus({ preventScroll: true });
    } else if (focused instanceof HTMLElement && table.current?.contains(focused)) {
      // The element with the focus shows another run by now: the focus waits until its run is in sight again.
      const at = focused.closest<HTMLElement>('tr[data-index]')?.dataset.index;
      if (focused === table.current) {
        row?.focus({ preventScroll: true });
      } else if (at !== undefined && at !== String(active)) {
        table.current.focus({ preventScroll: true });
      }
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

  // The same functions for as long as the table is there: rows that stay are not drawn again.
  const asked = useRef({ host, onOpen });
  asked.current = { host, onOpen };
  const open = useCallback((run: string) => asked.current.onOpen(run), []);
  const stop = useCallback((run: string) => asked.current.host?.stop(run), []);
  const menu = useCallback((event: MouseEvent<HTMLElement>, run: string) => {
    if (asked.current.host) {
      event.preventDefault();
      event.stopPropagation();
      asked.current.host.menu(run, menuPlace(event));
    }
  }, []);
  const keys = (event: KeyboardEvent<HTMLElement>) => {
    if (event.target instanceof HTMLElement && !['TR', 'TABLE'].includes(event.target.tagName)) {
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

  const row = (item: RunRow | undefined, index: number, held: boolean) => (
    <Row
      key={held ? `held ${item?.run ?? ''}` : `slot ${index % slots}`}
      row={item}
      index={index}
      held={held}
      active={!held && index === active}
      opened={item !== undefined && item.run === host?.opened}
      selected={item !== undefined && state.selected.includes(item.run)}
      base={!held && item !== undefined && item.run === state.baseline}
      pinned={item !== undefined && state.pinned.includes(item.run)}
      columns={columns}
      baseline={baseline}
      store={store}
      rev={state.rev}
      marks={!host}
      onActive={setActive}
      onOpen={open}
      onMenu={menu}
      stop={host ? stop : undefined}
    />
  );
  const held = state.pinned.map((run) => store.find(run)).filter((item) => item !== undefined);
  // In the order of the elements, which is not that of the places: so that none of them is moved.
  const drawn = rows
    .map((item, n) => ({ item, index: first + n }))
    .sort((a, b) => (a.index % slots) - (b.index % slots));
  widths.see([...held, ...rows], columns, baseline);
  const { tracks, width } = widths.tracks(
    columns,
    [...held, ...rows].some((item) => item?.status === 'running'),
  );
  return (
    <div
      className="nbp-scroll"
      ref={box}
      style={wanted === 'fill' ? undefined : { maxHeight: `${height}px` }}
      onScroll={(event) => {
        const { scrollTop, scrollLeft } = event.currentTarget;
        setTop(Math.floor(scrollTop / ROW) * ROW);
        setAside(scrollLeft > 0);
      }}
    >
      <table
        role="grid"
        tabIndex={-1}
        ref={table}
        className={aside ? 'nbp-aside' : undefined}
        style={{ '--nbp-tracks': tracks, '--nbp-width': width } as CSSProperties}
        aria-label={trans.__('runs')}
        aria-rowcount={total + 1}
        aria-multiselectable="true"
        onKeyDown={keys}
      >
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={1}>
            <th role="columnheader" scope="col" className="nbp-check">
              <span className="nbp-hidden">{trans.__('checked')}</span>
            </th>
            <Head title={trans.__('run')} sort="run" query={query} store={store} />
            <Head
              title={trans.__('status')}
              sort="status"
              className="nbp-statuses"
              query={query}
              store={store}
            />
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
          <tbody role="rowgroup" className="nbp-pins">
            {held.map((item, n) => row(item, n, true))}
          </tbody>
        ) : null}
        <tbody role="rowgroup">
          <Spacer key="above" rows={first} order={-1} />
          {drawn.map(({ item, index }) => row(item, index, false))}
          <Spacer key="below" rows={total - last} order={total} />
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

function Spacer({ rows, order }: { rows: number; order: number }) {
  return (
    <tr
      role="presentation"
      aria-hidden="true"
      className="nbp-space"
      style={{ order, height: `${rows * ROW}px` }}
    />
  );
}

interface HeadProps {
  title: string;
  sort?: string | undefined;
  numeric?: boolean | undefined;
  className?: string | undefined;
  query: HistoryState['query'];
  store: HistoryStore;
}

function Head({ title, sort, numeric, className, query, store }: HeadProps) {
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
    <th
      role="columnheader"
      scope="col"
      aria-sort={order}
      className={numeric ? 'nbp-number' : className}
      title={title}
    >
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
