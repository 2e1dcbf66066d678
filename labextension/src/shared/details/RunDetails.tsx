import { useEffect, useState } from 'react';

import type { Kept, PipelineParam, RunDetails as Details, Values } from '../api';
import { Tabs } from '../Tabs';
import type { Curve } from '../types';
import { useTick } from '../useTick';
import { LogView } from './LogView';
import { MetricsTab } from './MetricsTab';
import { ParamsTab } from './ParamsTab';
import { StagesTab } from './StagesTab';
import type { ReadLog } from './useLog';
import { useWords } from '../words';

export type DetailsTab = 'stages' | 'params' | 'metrics' | 'log';

export interface RunDetailsProps {
  run: string;
  details: Details;
  /** Seconds that the clock of the machine that runs is ahead of this one. */
  skew?: number;
  /** Of the pipeline as it is now, for defaults and help. */
  params?: PipelineParam[] | undefined;
  baseline?: { run: string; params: Values; metrics: Record<string, number> } | undefined;
  /** Metric -> run -> points. */
  curves?: Record<string, Record<string, Curve>>;
  /** Has to stay the same function while `run` stays the same. */
  readLog: ReadLog;
  /** The stage that stands out. */
  selected?: string;
  /** Go to the cell of a stage. */
  onJump?: ((stage: string) => void) | undefined;
  /** Go on at the cell that failed; end the kernel that waits for it. */
  onContinue?: ((kept: Kept) => Promise<void>) | undefined;
  onRelease?: ((stage: string) => Promise<void>) | undefined;
  tab?: DetailsTab;
  onTab?: (tab: DetailsTab) => void;
}

/** One run: stages, parameters, metrics, log. Header and actions are the host's. */
export function RunDetails(props: RunDetailsProps) {
  const trans = useWords();
  const { run, details, skew = 0, baseline, readLog, onTab } = props;
  const [tab, setTab] = useState<DetailsTab>(props.tab ?? 'stages');
  const [logOf, setLogOf] = useState('');
  useTick(details.stages.some((stage) => stage.status === 'running' || stage.kept));
  useEffect(() => setLogOf(''), [run]);
  useEffect(() => setTab(props.tab ?? 'stages'), [props.tab]);
  const choose = (next: DetailsTab) => {
    setTab(next);
    onTab?.(next);
  };
  const against = baseline && baseline.run !== run ? baseline : undefined;
  const differing = against
    ? Object.keys({ ...details.params, ...against.params }).filter(
        (name) => JSON.stringify(details.params[name]) !== JSON.stringify(against.params[name]),
      ).length
    : 0;
  return (
    <section className="nbp-details" aria-label={trans.__('details of %1', run)}>
      <Tabs
        label={trans.__('details of %1', run)}
        tabs={[
          ['stages', trans.__('Stages')],
          ['params', trans.__('Params'), differing],
          ['metrics', trans.__('Metrics')],
          ['log', trans.__('Log')],
        ]}
        chosen={tab}
        onChoose={choose}
      >
        {tab === 'stages' ? (
          <StagesTab
            stages={details.stages}
            now={Date.now() / 1000 + skew}
            selected={props.selected}
            onJump={props.onJump}
            onContinue={props.onContinue}
            onRelease={props.onRelease}
            onLog={(stage) => {
              setLogOf(stage);
              choose('log');
            }}
          />
        ) : null}
        {tab === 'params' ? (
          <ParamsTab
            params={details.params}
            given={details.given}
            known={props.params ?? []}
            baseline={against}
          />
        ) : null}
        {tab === 'metrics' ? (
          <MetricsTab run={run} stages={details.stages} baseline={against} curves={props.curves ?? {}} />
        ) : null}
        {tab === 'log' ? (
          <LogView
            key={run}
            read={readLog}
            stages={details.stages.map((stage) => stage.name)}
            stage={logOf}
            onStage={setLogOf}
            name={run}
            height={280}
          />
        ) : null}
      </Tabs>
      {tab === 'stages'
        ? details.warnings.map((text) => (
            <p key={text} className="nbp-hint nbp-warning">
              ⚠ {text}
            </p>
          ))
        : null}
    </section>
  );
}
