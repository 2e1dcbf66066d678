import { useCallback, useEffect, useRef, useState } from 'react';

import type { LogChunk } from '../api';
import { problemText } from '../backend';
import { LogText } from './logText';

/** Milliseconds until what has come to an end for now is asked again. */
const PAUSE = 1000;

/** A part of a log, from the offset that the chunk before it named; 0 at first. `stage` is "" for the log of the whole run. */
export type ReadLog = (stage: string, offset: number) => Promise<LogChunk>;

export interface FollowedLog {
  log: LogText;
  /** Another number: there is more. */
  rev: number;
  /** Everything was read, and nothing more comes. */
  over: boolean;
  problem: string;
  again: () => void;
}

/** Reads a log to its end, and goes on while it grows; rests while the page is hidden. */
export function useLog(read: ReadLog, stage: string): FollowedLog {
  const [log, setLog] = useState(() => new LogText());
  const [rev, setRev] = useState(0);
  const [over, setOver] = useState(false);
  const [problem, setProblem] = useState('');
  const [attempt, setAttempt] = useState(0);
  const reading = useRef({ read, stage, log, offset: 0 });
  useEffect(() => {
    let wanted = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (reading.current.stage !== stage || reading.current.read !== read) {
      reading.current = { read, stage, log: new LogText(), offset: 0 };
      setLog(reading.current.log);
    }
    const now = reading.current;
    const step = async () => {
      if (document.hidden) {
        timer = setTimeout(() => void step(), PAUSE);
        return;
      }
      try {
        const chunk = await read(stage, now.offset);
        if (!wanted) {
          return;
        }
        const grew = chunk.next !== now.offset;
        now.offset = chunk.next;
        if (chunk.text) {
          now.log.append(chunk.text);
          setRev((n) => n + 1);
        }
        setOver(chunk.eof);
        if (!chunk.eof) {
          timer = setTimeout(() => void step(), grew ? 0 : PAUSE);
        }
      } catch (error) {
        if (wanted) {
          setProblem(problemText(error));
        }
      }
    };
    setOver(false);
    setProblem('');
    void step();
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [read, stage, attempt]);
  const again = useCallback(() => setAttempt((n) => n + 1), []);
  return { log, rev, over, problem, again };
}

/** The whole log as plain text, read anew. */
export async function wholeLog(read: ReadLog, stage: string): Promise<string> {
  const parts: string[] = [];
  for (let offset = 0; ;) {
    const chunk = await read(stage, offset);
    parts.push(chunk.text);
    if (chunk.eof || chunk.next === offset) {
      return parts.join('');
    }
    offset = chunk.next;
  }
}
