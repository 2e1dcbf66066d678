import { useState, type RefObject } from 'react';

/** One stage at a time is reached by Tab; `go` moves focus to another. */
export function useRoving(root: RefObject<HTMLElement>, order: string[], selected: string | undefined) {
  const [last, setLast] = useState('');
  const current = order.includes(last) ? last : selected && order.includes(selected) ? selected : order[0];
  const go = (stage: string | undefined): boolean => {
    if (stage === undefined) {
      return false;
    }
    setLast(stage);
    for (const node of root.current?.querySelectorAll<HTMLElement>('[data-stage]') ?? []) {
      if (node.dataset['stage'] === stage) {
        node.focus();
      }
    }
    return true;
  };
  return { current, go, focused: setLast };
}
