import { useRef, type KeyboardEvent, type ReactNode } from 'react';

import { useOwnId } from './ownId';

interface Props<T extends string> {
  label: string;
  /** Key, title, and a number or mark beside it. */
  tabs: readonly (readonly [key: T, title: string, badge?: string | number])[];
  chosen: T;
  onChoose: (tab: T) => void;
  /** What the chosen tab shows. */
  children: ReactNode;
}

/** Tabs with arrow keys, as ARIA's practices have them, and the panel below. */
export function Tabs<T extends string>({ label, tabs, chosen, onChoose, children }: Props<T>) {
  const id = useOwnId();
  const bar = useRef<HTMLDivElement>(null);
  const keys = (event: KeyboardEvent) => {
    const at = tabs.findIndex(([key]) => key === chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[
      event.key
    ];
    const next = to === undefined ? undefined : tabs[to % tabs.length];
    if (next) {
      event.preventDefault();
      onChoose(next[0]);
      bar.current?.querySelector<HTMLElement>(`[data-part="${next[0]}"]`)?.focus();
    }
  };
  return (
    <>
      <div className="nbp-tabs" role="tablist" aria-label={label} ref={bar} onKeyDown={keys}>
        {tabs.map(([key, title, badge]) => (
          <button
            key={key}
            type="button"
            role="tab"
            id={`${id}-${key}`}
            data-part={key}
            aria-selected={key === chosen}
            aria-controls={`${id}-panel`}
            tabIndex={key === chosen ? 0 : -1}
            onClick={() => onChoose(key)}
          >
            {title}
            {badge ? <span className="nbp-badge">{badge}</span> : null}
          </button>
        ))}
      </div>
      <div
        className="nbp-part"
        role="tabpanel"
        id={`${id}-panel`}
        aria-labelledby={`${id}-${chosen}`}
        tabIndex={0}
      >
        {children}
      </div>
    </>
  );
}
