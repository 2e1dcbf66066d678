import { useEffect, useState } from 'react';

/** Draw again every second while something runs: its time goes on. */
export function useTick(on: boolean): void {
  const [, set] = useState(0);
  useEffect(() => {
    if (!on) {
      return undefined;
    }
    const timer = setInterval(() => set((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, [on]);
}
