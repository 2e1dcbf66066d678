import { launchIcon } from '@jupyterlab/ui-components';
import { useSyncExternalStore } from 'react';

import { RunDetails, type DetailsTab } from '../../shared/details/RunDetails';
import { Status } from '../../shared/Status';
import { showMenuBelow } from '../menu';
import { Problem, Reading } from '../Reading';
import { useTrans } from '../trans';
import { useCurves, useDetails, useReadLog } from '../useDetails';
import type { Actions } from './actions';
import type { PanelModel } from './model';

/** The run that is opened. */
export function DetailsSection({ model, actions }: { model: PanelModel; actions: Actions }) {
  const { opened, absent, path } = useSyncExternalStore(model.subscribe, model.get);
  const trans = useTrans();
  if (absent) {
    return null;
  }
  return opened ? (
    <Opened key={`${path} ${opened}`} model={model} actions={actions} path={path} run={opened} />
  ) : (
    <p className="nbp-empty">{trans.__('Open a run to see its stages, parameters, metrics and log.')}</p>
  );
}

interface Props {
  model: PanelModel;
  actions: Actions;
  path: string;
  run: string;
}

function Opened({ model, actions, path, run }: Props) {
  const { nbpipe, keeping } = model;
  const { store, pipeline, stage } = useSyncExternalStore(model.subscribe, model.get);
  const trans = useTrans();
  const { details, problem, again } = useDetails(nbpipe, path, run);
  const base = store?.get().baseline ?? '';
  const baseline = base ? store?.find(base) : undefined;
  const curves = useCurves(nbpipe, path, base && base !== run ? [run, base] : [run], details);
  const readLog = useReadLog(nbpipe, path, run);
  const row = store?.find(run);
  const notebook = details?.notebook;
  return (
    <>
      <div className="nbp-toolbar nbp-opened-head">
        {row ? <Status status={row.status} /> : null}
        <div className="nbp-opened-actions">
          <button type="button" className="nbp-button" onClick={() => actions.openLog(run)}>
            {trans.__('Log')} <launchIcon.react tag="span" className="nbp-icon" width="12px" />
          </button>
          <button
            type="button"
            className="nbp-button"
            disabled={!details?.executed}
            title={trans.__('The notebook as it was run, with its outputs, in a new file')}
            onClick={() => (notebook ? actions.openFile(notebook) : void actions.checkOut(run, true))}
          >
            {trans.__('Notebook')}
          </button>
          <button
            type="button"
            className="nbp-button"
            aria-haspopup="menu"
            title={trans.__('Write the pipeline, as it stands now, for a scheduler')}
            onClick={(event) => showMenuBelow(actions.exportEntries(), event.currentTarget)}
          >
            {trans.__('Export ▾')}
          </button>
          <button
            type="button"
            className="nbp-button"
            aria-haspopup="menu"
            aria-label={trans.__('More to do with %1', run)}
            onClick={(event) => showMenuBelow(actions.runMenuOf(run), event.currentTarget)}
          >
            ⋯
          </button>
        </div>
      </div>
      <Problem text={problem} />
      <Problem text={row?.failure} />
      {details ? (
        <RunDetails
          run={run}
          details={details}
          params={pipeline?.params}
          baseline={
            baseline
              ? { run: base, params: baseline.params ?? {}, metrics: baseline.metrics ?? {} }
              : undefined
          }
          curves={curves}
          readLog={readLog}
          selected={stage}
          onJump={(name) => model.jump(name)}
          onContinue={({ start }) => model.start(start)}
          onRelease={(name) => actions.release(run, name).then(again)}
          tab={(keeping.tab || 'stages') as DetailsTab}
          onTab={(tab) => keeping.keep({ tab })}
        />
      ) : problem ? null : (
        <Reading problem="" />
      )}
    </>
  );
}
