import { useCallback, useEffect, useRef, useState } from 'react';

import type { RunDetails } from '../shared/api';
import { problemText } from '../shared/backend';
import type { ReadLog } from '../shared/details/useLog';
import type { Curve } from '../shared/types';
import type { INbpipe } from './tokens';

/** Metrics whose curves are asked for. */
const MOST = 12;

interface Found {
  details: RunDetails | undefined;
  problem: string;
}

type Followed = Found & {
  /** Read them again. */
  again: () => void;
};

/** The details of a run, read again whenever it moves on. */
export function useDetails(nbpipe: INbpipe, path: string, run: string): Followed {
  const [found, setFound] = useState<Found>({ details: undefined, problem: '' });
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    let wanted = true;
    let asked = 0;
    const ask = async () => {
      asked += 1;
      const mine = asked;
      try {
        const details = await nbpipe.api.details(path, run);
        if (wanted && mine === asked) {
          setFound({ details, problem: '' });
        }
      } catch (error) {
        if (wanted && mine === asked) {
          setFound(({ details }) => ({ details, problem: problemText(error) }));
        }
      }
    };
    setFound({ details: undefined, problem: '' });
    again.current = () => void ask();
    again.current();
    const stop = nbpipe.backend(path).subscribe((change) => {
      if (change.rows.some((row) => row.run === run)) {
        void ask();
      }
    });
    return () => {
      wanted = false;
      stop();
    };
  }, [nbpipe, path, run]);
  return { ...found, again: () => again.current() };
}

/** Metric -> run -> points, of this run and the one it is compared with. */
export function useCurves(
  nbpipe: INbpipe,
  path: string,
  runs: readonly string[],
  details: RunDetails | undefined,
): Record<string, Record<string, Curve>> {
  const [curves, setCurves] = useState<Record<string, Record<string, Curve>>>({});
  const names = [...new Set(details?.stages.flatMap(({ metrics }) => Object.keys(metrics)))].slice(0, MOST);
  const wanted = JSON.stringify([runs, names]);
  useEffect(() => {
    let on = true;
    const [of, metrics] = JSON.parse(wanted) as [string[], string[]];
    const ask = async () => {
      const backend = nbpipe.backend(path);
      const found = await Promise.all(
        metrics.map(async (name) => [name, await backend.curves(of, name)] as const),
      );
      if (on) {
        setCurves(Object.fromEntries(found));
      }
    };
    ask().catch((error: unknown) => console.warn('nbpipe: no curves', error));
    return () => {
      on = false;
    };
  }, [nbpipe, path, wanted, details]);
  return curves;
}

/** Reads the log of a run; the same function as long as the run is the same. */
export function useReadLog(nbpipe: INbpipe, path: string, run: string): ReadLog {
  return useCallback(
    (stage: string, offset: number) => nbpipe.api.log(path, run, stage, offset),
    [nbpipe, path, run],
  );
}
