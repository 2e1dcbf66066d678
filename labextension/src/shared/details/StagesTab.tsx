import { useState, type ReactNode } from 'react';

import type { DetailStage, Kept } from '../api';
import { Coded } from '../Coded';
import { duration, metric, size } from '../format';
import { Status } from '../Status';
import { useWords } from '../words';

interface Props {
  stages: DetailStage[];
  now: number;
  selected?: string | undefined;
  onJump?: ((stage: string) => void) | undefined;
  onLog: (stage: string) => void;
  onContinue?: ((kept: Kept) => Promise<void>) | undefined;
  onRelease?: ((stage: string) => Promise<void>) | undefined;
}

interface Span {
  start: number;
  end: number;
}

/** Stages as bars on one time axis: what waited for what, and what took how long. */
export function StagesTab({ stages, now, selected, onJump, onLog, onContinue, onRelease }: Props) {
  const trans = useWords();
  const axis = axisOf(stages, now);
  if (stages.length === 0) {
    return <p className="nbp-hint">{trans.__('No stage has begun.')}</p>;
  }
  return (
    <div className="nbp-times">
      {axis ? (
        <p className="nbp-axis-line" aria-hidden="true">
          <span>0</span>
          <span>{duration((axis.end - axis.start) / 2)}</span>
          <span>{duration(axis.end - axis.start)}</span>
        </p>
      ) : null}
      <ul aria-label={trans.__('stages')}>
        {stages.map((stage) => (
          <li
            key={stage.name}
            data-stage={stage.name}
            className={`nbp-node-${stage.status}`}
            aria-current={stage.name === selected ? 'true' : undefined}
          >
            {onJump ? (
              <button type="button" className="nbp-link nbp-times-name" onClick={() => onJump(stage.name)}>
                {stage.name}
              </button>
            ) : (
              <span className="nbp-times-name">{stage.name}</span>
            )}
            <Status status={stage.status} />
            <Bar stage={stage} axis={axis} now={now} />
            <span className="nbp-times-time">{took(stage, now)}</span>
            <Why stage={stage}>
              {stage.kept && stage.kept.until > now ? (
                <KeptKernel
                  kept={stage.kept}
                  stage={stage.name}
                  onContinue={onContinue}
                  onRelease={onRelease}
                />
              ) : null}
            </Why>
            {stage.started ? (
              <button
                type="button"
                className="nbp-link nbp-times-log"
                aria-label={trans.__('log of %1', stage.name)}
                onClick={() => onLog(stage.name)}
              >
                {trans.__('log')}
              </button>
            ) : null}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Why it ran or did not, what it said, and what it left. */
function Why({ stage, children }: { stage: DetailStage; children: ReactNode }) {
  const trans = useWords();
  const figures = Object.entries(stage.metrics).slice(0, 4);
  return (
    <div className="nbp-times-why">
      {stage.failure ? <pre className="nbp-failure">{stage.failure}</pre> : null}
      {stage.traceback ? (
        <details className="nbp-traceback">
          <summary>{trans.__('Traceback')}</summary>
          <pre tabIndex={0}>{stage.traceback}</pre>
        </details>
      ) : null}
      {children}
      {stage.attempt > 1 ? <span className="nbp-tag">{trans.__('attempt %1', stage.attempt)}</span> : null}
      {stage.reason ? (
        <span className="nbp-dim">
          <Coded text={stage.reason} />{' '}
        </span>
      ) : null}
      {figures.map(([name, value]) => (
        <span key={name} className="nbp-figure">
          <span className="nbp-dim">{name}</span> {metric(value)}
        </span>
      ))}
      {stage.artifacts.map((artifact) => (
        <span key={artifact.name} className="nbp-tag">
          {artifact.name}
          {artifact.size ? <span className="nbp-dim"> {size(artifact.size)}</span> : null}
        </span>
      ))}
      {stage.warnings.map((text) => (
        <p key={text} className="nbp-warning">
          ⚠ {text}
        </p>
      ))}
    </div>
  );
}

/** Until when the kernel of the failed cell waits, with what it holds, and what can be done with it. */
function KeptKernel({
  kept,
  stage,
  onContinue,
  onRelease,
}: { kept: Kept; stage: string } & Pick<Props, 'onContinue' | 'onRelease'>) {
  const trans = useWords();
  const [busy, setBusy] = useState(false);
  const until = new Date(kept.until * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const held = [
    trans.__('kept until %1', until),
    ...(kept.memory ? [size(kept.memory)] : []),
    ...(kept.gpus.length > 0 ? [trans.__('GPUs %1', kept.gpus.join(', '))] : []),
  ];
  const act = (what: Promise<void> | undefined) => {
    setBusy(true);
    void what?.finally(() => setBusy(false));
  };
  return (
    <p className="nbp-kept">
      <span
        title={trans.__('Mend cell %1; it runs again in the kernel that %2 keeps.', kept.cell, kept.target)}
      >
        {trans.__('%1: %2', kept.target, held.join(', '))}
      </span>
      {onContinue ? (
        <button
          type="button"
          className="nbp-button"
          disabled={busy}
          title={trans.__(
            'Cell %1 runs again in what it left behind, and so do those below it. The result is not reused.',
            kept.cell,
          )}
          onClick={() => act(onContinue(kept))}
        >
          {trans.__('Continue at the failed cell')}
        </button>
      ) : null}
      {onRelease ? (
        <button
          type="button"
          className="nbp-button"
          disabled={busy}
          aria-label={trans.__('Release the kernel of %1', stage)}
          title={trans.__('End the kernel; its memory and GPUs are free then')}
          onClick={() => act(onRelease(stage))}
        >
          {trans.__('Release')}
        </button>
      ) : null}
    </p>
  );
}

function Bar({ stage, axis, now }: { stage: DetailStage; axis: Span | undefined; now: number }) {
  const trans = useWords();
  const span = spanOf(stage, now);
  if (!axis || !span) {
    return <span className="nbp-track" aria-hidden="true" />;
  }
  const share = (at: number) => ((at - axis.start) / Math.max(axis.end - axis.start, 1e-9)) * 100;
  const ready = stage.queued && stage.queued < span.start ? stage.queued : span.start;
  return (
    <span
      className="nbp-track"
      role="img"
      aria-label={[
        trans.__('from %1 to %2', duration(span.start - axis.start), duration(span.end - axis.start)),
        ...(ready < span.start ? [trans.__('waited %1', duration(span.start - ready))] : []),
      ].join(', ')}
    >
      <i
        className="nbp-queued"
        style={{ left: `${share(ready)}%`, width: `${share(span.start) - share(ready)}%` }}
      />
      <i
        className="nbp-took"
        style={{ left: `${share(span.start)}%`, width: `${share(span.end) - share(span.start)}%` }}
      />
    </span>
  );
}

function took(stage: DetailStage, now: number): string {
  const span = spanOf(stage, now);
  return stage.status === 'cached' || !span ? '' : duration(span.end - span.start);
}

function spanOf(stage: DetailStage, now: number): Span | undefined {
  if (!stage.started) {
    return undefined;
  }
  const running = stage.status === 'running';
  return {
    start: stage.started,
    end: running ? Math.max(now, stage.started) : stage.started + (stage.seconds ?? 0),
  };
}

function axisOf(stages: DetailStage[], now: number): Span | undefined {
  const spans = stages.map((stage) => spanOf(stage, now)).filter((span) => span !== undefined);
  if (spans.length === 0) {
    return undefined;
  }
  const queued = stages.flatMap((stage) => (stage.started && stage.queued ? [stage.queued] : []));
  return {
    start: Math.min(...spans.map((span) => span.start), ...queued),
    end: Math.max(...spans.map((span) => span.end)),
  };
}
