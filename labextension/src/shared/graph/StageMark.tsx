import { Status } from '../Status';
import { timeOf, type Mark } from './marks';
import { useWords } from '../words';

/** Symbol, word and time of a stage. */
export function StageMark({ mark }: { mark: Mark | undefined }) {
  const time = timeOf(mark, Date.now() / 1000, useWords());
  const errors = mark?.errors ?? 0;
  return (
    <>
      {errors > 0 ? (
        <span className="nbp-bad" title={`${errors} ${errors === 1 ? 'problem' : 'problems'}`}>
          ⚠ {errors}
        </span>
      ) : null}
      {mark ? <Status status={mark.state} /> : null}
      <span className="nbp-node-time">{time}</span>
    </>
  );
}
