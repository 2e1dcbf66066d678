import { useState, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';

import { RunDetails, type DetailsTab } from '../src/shared/details/RunDetails';
import { PipelineGraph } from '../src/shared/graph/PipelineGraph';
import { ParamsForm } from '../src/shared/ParamsForm';
import '../src/shared/style/base.css';
import '../src/shared/style/table.css';
import '../src/shared/style/compare.css';
import '../src/shared/style/diff.css';
import '../src/shared/style/graph.css';
import '../src/shared/style/details.css';
import '../src/shared/style/ansi.css';
import '../src/shared/style/form.css';
import { BASELINE, CURVES, DETAILS, DIGITS, many, MARKS, readLog } from './data';
import './themes.css';

const MANY = many(200);
const noted = (text: string) => () => console.log(text);

function Graphs() {
  const [selected, setSelected] = useState('train');
  return (
    <>
      <Frame>
        <PipelineGraph
          {...DIGITS}
          marks={MARKS}
          selected={selected}
          mode="compact"
          onJump={setSelected}
          onMenu={noted('menu')}
        />
      </Frame>
      <Frame wide height={360}>
        <PipelineGraph {...DIGITS} marks={MARKS} selected={selected} mode="large" onJump={setSelected} />
      </Frame>
      <Frame height={600}>
        <PipelineGraph {...MANY} marks={{}} mode="compact" onJump={noted('jump')} />
      </Frame>
      <Frame wide height={600}>
        <PipelineGraph {...MANY} marks={{}} mode="large" onJump={noted('jump')} />
      </Frame>
    </>
  );
}

function Details() {
  return (
    <>
      {(['stages', 'params', 'metrics', 'log'] satisfies DetailsTab[]).map((tab) => (
        <Frame key={tab}>
          <RunDetails
            run="r43"
            details={DETAILS}
            baseline={BASELINE}
            curves={CURVES}
            readLog={readLog}
            onJump={noted('jump')}
            tab={tab}
          />
        </Frame>
      ))}
      {(['stages', 'log'] satisfies DetailsTab[]).map((tab) => (
        <Frame key={tab} wide>
          <RunDetails run="r43" details={DETAILS} readLog={readLog} tab={tab} />
        </Frame>
      ))}
    </>
  );
}

function Forms() {
  const form = (
    <ParamsForm
      params={DIGITS.params}
      profiles={DIGITS.profiles}
      values={{ lr: 0.01, layers: 'sixty' }}
      action="Run"
      onSubmit={noted('submit')}
      onCancel={noted('cancel')}
    />
  );
  return (
    <>
      <Frame>{form}</Frame>
      <Frame wide>{form}</Frame>
    </>
  );
}

function Frame({ wide, height, children }: { wide?: boolean; height?: number; children: ReactNode }) {
  return (
    <div className={`nbp frame${wide ? ' wide' : ''}`} style={{ height, overflow: 'auto' }}>
      {children}
    </div>
  );
}

for (const theme of ['light', 'dark']) {
  for (const [name, Part] of Object.entries({ graphs: Graphs, details: Details, forms: Forms })) {
    const host = document.createElement('main');
    host.className = `theme ${theme} ${name}`;
    document.body.append(host);
    createRoot(host).render(<Part />);
  }
}
