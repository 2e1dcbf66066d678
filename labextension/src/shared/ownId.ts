import { useState } from 'react';

/** An id for `aria-controls` and the like. `useId` counts per view, and a notebook has several. */
export function useOwnId(): string {
  const [id] = useState(() => `nbp-${Math.random().toString(36).slice(2)}`);
  return id;
}
