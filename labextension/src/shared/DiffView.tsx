import { useEffect, useState, type ReactNode } from 'react';

import { problemText, type Backend } from './backend';
import { runColour } from './colour';
import { duration } from './format';
import { CodePart } from './diff/CodePart';
import { DataPart } from './diff/DataPart';
import { EnvironmentPart } from './diff/EnvironmentPart';
import { MetricsPart } from './diff/MetricsPart';
import { OutputsPart } from './diff/OutputsPart';
import { ParamsPart } from './diff/ParamsPart';
import { Status } from './Status';
import { Tabs } from './Tabs';
import type { Diff, Side } from './types';
import { useWords, type Words } from './words';

/** The parts in the order of the tabs; those that may be large are asked for apart, so that the others show at once. */
const tabs = (trans: Words) =>
  [
    ['params', trans.__('Params')],
    ['metrics', trans.__('Metrics')],
    ['code', trans.__('Code')],
    ['data', trans.__('Data')],
    ['environment', trans.__('Env')],
    ['outputs', trans.__('Outputs')],
  ] as const;
type Part = ReturnType<typeof tabs>[number][0];
const QUICK = ['code', 'params', 'metrics', 'environment'];
const SLOW = ['data', 'outputs'];

interface Props {
  backend: Backend;
  a: string;
  b: string;
  /** Another number: a side may be another one by now. */
  rev?: number;
}

/** What changed between two sides, part by part: the format of `docs/formats/diff.md`, shown. */
export function DiffView({ backend, a, b, rev = 0 }: Props) {
  const trans = useWords();
  const [only, setOnly] = useState(true);
  const [chosen, setChosen] = useState<Part>();
  const [quick, quickProblem] = useDiff(backend, a, b, QUICK, !only, rev);
  const [slow, slowProblem] = useDiff(backend, a, b, SLOW, !only, rev);

  if (quickProblem) {
    return (
      <p className="nbp-problem" role="alert">
        {quickProblem}
      </p>
    );
  }
  if (!quick) {
    return <p className="nbp-hint">{trans.__('comparing %1 with %2 …', a, b)}</p>;
  }
  const counts: Record<string, number> = { ...quick.counts, ...slow?.counts };
  const first = tabs(trans).find(([part]) => (counts[part] ?? 0) > 0)?.[0] ?? 'params';
  const tab = chosen ?? first;
  const slowPart = SLOW.includes(tab);
  return (
    <section className="nbp-diff" aria-label={trans.__('diff of %1 and %2', a, b)}>
      <header className="nbp-toolbar">
        <h3 className="nbp-title">
          {trans.__('Diff')}&ensp;
          <SideName side={quick.a} /> <span aria-hidden="true">↔</span> <SideName side={quick.b} />
        </h3>
        {quick.same && slow?.same ? <span className="nbp-dim">{trans.__('nothing differs')}</span> : null}
        <span className="nbp-grow" />
        <label className="nbp-option">
          <input type="checkbox" checked={only} onChange={() => setOnly(!only)} />
          {trans.__('differences only')}
        </label>
      </header>
      <div className="nbp-sides">
        <SideLine side={quick.a} />
        <SideLine side={quick.b} />
      </div>
      <Tabs
        label={trans.__('parts of the diff')}
        tabs={tabs(trans).map(([part, title]) => [part, title, counts[part] ?? 0] as const)}
        chosen={tab}
        onChoose={setChosen}
      >
        {slowPart && slowProblem ? <p className="nbp-problem">{slowProblem}</p> : null}
        {slowPart && !slow && !slowProblem ? (
          <p className="nbp-hint">{trans.__('reading what they left …')}</p>
        ) : null}
        {slowPart ? slow && content(tab, slow) : content(tab, quick)}
        {(slowPart ? (slow?.notes ?? []) : (quick.notes ?? []))
          .filter((note) => note.part === undefined || note.part === tab)
          .map((note) => (
            <p className="nbp-hint" key={note.text}>
              {note.text}
            </p>
          ))}
      </Tabs>
    </section>
  );
}

function content(tab: Part, diff: Diff): ReactNode {
  const parts: Record<Part, () => ReactNode> = {
    params: () => <ParamsPart items={diff.params ?? []} />,
    metrics: () => <MetricsPart items={diff.metrics ?? []} a={diff.a.label} b={diff.b.label} />,
    code: () => <CodePart items={diff.code ?? []} stages={diff.stages ?? []} />,
    data: () => <DataPart items={diff.data ?? []} files={diff.files ?? []} />,
    environment: () => <EnvironmentPart items={diff.environment ?? []} />,
    outputs: () => <OutputsPart items={diff.outputs ?? []} a={diff.a.label} b={diff.b.label} />,
  };
  return parts[tab]();
}

function useDiff(
  backend: Backend,
  a: string,
  b: string,
  parts: string[],
  everything: boolean,
  rev: number,
): [Diff | undefined, string] {
  const [found, setFound] = useState<Diff>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    let wanted = true;
    setProblem('');
    backend.diff(a, b, parts, everything).then(
      (diff) => wanted && setFound(diff),
      (error: unknown) => wanted && setProblem(problemText(error)),
    );
    return () => {
      wanted = false;
    };
  }, [backend, a, b, parts, everything, rev]);
  return [found, problem];
}

function SideName({ side }: { side: Side }) {
  return (
    <span>
      <span className="nbp-dot" style={{ background: runColour(side.label) }} aria-hidden="true" />
      {side.label}
    </span>
  );
}

function SideLine({ side }: { side: Side }) {
  const version = side.number ? `v${side.number}` : (side.version ?? '').slice(0, 7);
  return (
    <p>
      <strong>{side.label}</strong> {side.stage ?? side.name ?? ''} {version}{' '}
      {side.status ? <Status status={side.status} /> : null}{' '}
      <span className="nbp-dim">
        {side.started ? new Date(side.started * 1000).toLocaleString() : ''}
        {side.seconds ? ` · ${duration(side.seconds)}` : ''}
      </span>
    </p>
  );
}
