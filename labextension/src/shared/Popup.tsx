import { useEffect, useRef, useState, type ReactNode } from 'react';

import { useOwnId } from './ownId';

/** A button with a panel below it; Escape, or a click elsewhere, closes it. */
export function Popup({ label, badge, children }: { label: string; badge?: string; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useOwnId();
  useEffect(() => {
    if (!open) {
      return undefined;
    }
    const away = (event: Event) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) {
        setOpen(false);
      }
    };
    document.addEventListener('pointerdown', away);
    root.current?.querySelector<HTMLElement>('.nbp-panel :is(input, select, button)')?.focus();
    return () => document.removeEventListener('pointerdown', away);
  }, [open]);
  return (
    <div
      className="nbp-popup"
      ref={root}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && open) {
          event.stopPropagation();
          setOpen(false);
          button.current?.focus();
        }
      }}
    >
      <button
        type="button"
        ref={button}
        className="nbp-button"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        {label}
        {badge ? <span className="nbp-badge">{badge}</span> : null}
        <span aria-hidden="true"> ▾</span>
      </button>
      {open ? (
        <div className="nbp-panel" id={id} role="group" aria-label={label}>
          {children}
        </div>
      ) : null}
    </div>
  );
}
