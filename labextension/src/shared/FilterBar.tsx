import { useEffect, useRef, useState } from 'react';

import { allColumns, type Column } from './columns';
import { Popup } from './Popup';
import { STATUSES, Status } from './Status';
import type { HistoryState, HistoryStore } from './store';
import { useWords, type Words } from './words';

/** Milliseconds after the last key before the question is asked. */
const PAUSE = 120;

interface Props {
  store: HistoryStore;
  state: HistoryState;
  shown: Column[];
}

/** Search, filters and columns. */
export function FilterBar({ store, state, shown }: Props) {
  const trans = useWords();
  const { statuses = [], where = [] } = state.query;
  const toggle = (status: string) =>
    store.ask({
      statuses: statuses.includes(status)
        ? statuses.filter((other) => other !== status)
        : [...statuses, status],
    });
  return (
    <>
      <Search store={store} text={state.query.text ?? ''} />
      <Popup label={trans.__('Status')} badge={statuses.length ? String(statuses.length) : ''}>
        {STATUSES.map((status) => (
          <label key={status} className="nbp-option">
            <input type="checkbox" checked={statuses.includes(status)} onChange={() => toggle(status)} />
            <Status status={status} />
          </label>
        ))}
      </Popup>
      <Popup label={trans.__('Metric')} badge={where.length ? String(where.length) : ''}>
        <Condition store={store} state={state} />
      </Popup>
      <Popup label={trans.__('Columns')}>
        <ColumnChoice store={store} state={state} shown={shown} />
      </Popup>
      {where.map((text) => (
        <span className="nbp-chip" key={text}>
          {text}
          <button
            type="button"
            aria-label={trans.__('remove the filter %1', text)}
            onClick={() => store.ask({ where: where.filter((other) => other !== text) })}
          >
            ×
          </button>
        </span>
      ))}
    </>
  );
}

function Search({ store, text }: { store: HistoryStore; text: string }) {
  const trans = useWords();
  const [typed, setTyped] = useState(text);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const asked = useRef(text);
  useEffect(() => {
    if (text !== asked.current) {
      asked.current = text;
      setTyped(text);
    }
  }, [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (value: string) => {
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      asked.current = value;
      store.ask({ text: value });
    }, PAUSE);
  };
  return (
    <input
      type="search"
      className="nbp-input nbp-search"
      placeholder={trans.__('Search runs')}
      aria-label={trans.__('search runs')}
      value={typed}
      onInput={(event) => type(event.currentTarget.value)}
    />
  );
}

const OPERATORS = ['>', '>=', '<', '<=', '=', '!='];

function Condition({ store, state }: { store: HistoryStore; state: HistoryState }) {
  const trans = useWords();
  const names = [
    ...state.names.metrics.map((name) => ['metrics', name] as const),
    ...state.names.params.map((name) => ['params', name] as const),
  ];
  const [chosen, setChosen] = useState(0);
  const [operator, setOperator] = useState('>');
  const [value, setValue] = useState('');
  const [space, name] = names[chosen] ?? ['metrics', ''];
  const add = () => {
    if (value.trim() === '' || name === '') {
      return;
    }
    const right = Number.isNaN(Number(value)) ? JSON.stringify(value.trim()) : value.trim();
    const left = /^[A-Za-z_]\w*$/.test(name) ? `${space}.${name}` : `${space}[${JSON.stringify(name)}]`;
    const text = `${left} ${operator} ${right}`;
    const { where = [] } = state.query;
    if (!where.includes(text)) {
      store.ask({ where: [...where, text] });
    }
    setValue('');
  };
  if (names.length === 0) {
    return <p className="nbp-hint">{trans.__('No run has a metric or a parameter yet.')}</p>;
  }
  return (
    <form
      className="nbp-condition"
      onSubmit={(event) => {
        event.preventDefault();
        add();
      }}
    >
      <select
        aria-label={trans.__('name')}
        value={chosen}
        onChange={(event) => setChosen(Number(event.currentTarget.value))}
      >
        {names.map(([, text], n) => (
          <option key={n} value={n}>
            {text}
          </option>
        ))}
      </select>
      <select
        aria-label={trans.__('comparison')}
        value={operator}
        onChange={(event) => setOperator(event.currentTarget.value)}
      >
        {OPERATORS.map((text) => (
          <option key={text}>{text}</option>
        ))}
      </select>
      <input
        className="nbp-input"
        aria-label={trans.__('value')}
        size={8}
        value={value}
        onInput={(event) => setValue(event.currentTarget.value)}
      />
      <button type="submit" className="nbp-button">
        {trans.__('Add')}
      </button>
    </form>
  );
}

function groupWord(group: Column['group'], trans: Words): string {
  switch (group) {
    case 'Run':
      return trans.__('Run');
    case 'Parameters':
      return trans.__('Parameters');
    case 'Metrics':
      return trans.__('Metrics');
    case 'Curves':
      return trans.__('Curves');
    case 'Tags':
      return trans.__('Tags');
  }
}

function ColumnChoice({ store, state, shown }: Props) {
  const trans = useWords();
  const ids = shown.map((column) => column.id);
  const all = allColumns(state.names, trans);
  const toggle = (id: string) =>
    store.choose(ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id]);
  const groups = [...new Set(all.map((column) => column.group))];
  return (
    <div className="nbp-columns">
      {groups.map((group) => (
        <fieldset key={group}>
          <legend>{groupWord(group, trans)}</legend>
          {all
            .filter((column) => column.group === group)
            .map((column) => (
              <label key={column.id} className="nbp-option">
                <input type="checkbox" checked={ids.includes(column.id)} onChange={() => toggle(column.id)} />
                {column.title}
              </label>
            ))}
        </fieldset>
      ))}
      <button type="button" className="nbp-button" onClick={() => store.choose([])}>
        {trans.__('The usual ones')}
      </button>
    </div>
  );
}
