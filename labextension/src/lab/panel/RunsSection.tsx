import { useSyncExternalStore } from 'react';

import { HistoryView } from '../../shared/HistoryView';
import { useTrans } from '../trans';
import type { Actions } from './actions';
import type { PanelModel } from './model';

/** The runs of this notebook, the present on top. */
export function RunsSection({ model, actions }: { model: PanelModel; actions: Actions }) {
  const { path, store, opened, absent } = useSyncExternalStore(model.subscribe, model.get);
  const trans = useTrans();
  if (!store || absent) {
    return absent ? null : <p className="nbp-empty">{trans.__('Open a notebook to see its runs.')}</p>;
  }
  return (
    <HistoryView
      key={path}
      store={store}
      height="fill"
      host={{
        open: (run) => model.open(run),
        compare: () => actions.compare(store.get().selected),
        menu: (run, place) => actions.runMenu(run, place),
        stop: (run) => void model.nbpipe.runs.stop(path, run),
        opened,
        top: <Now model={model} actions={actions} />,
        empty: <p className="nbp-empty">{trans.__('No runs yet. Press Run: each run is listed here.')}</p>,
      }}
    />
  );
}

/** The notebook as it stands: what a run would do. */
function Now({ model, actions }: { model: PanelModel; actions: Actions }) {
  const { pipeline, plan, latest, store } = useSyncExternalStore(model.subscribe, model.get);
  const trans = useTrans();
  const due = plan?.stages.filter(({ action }) => action !== 'hit').length ?? 0;
  const expected = plan?.stages.map(({ reason, name }) => `${name}: ${reason}`).join('\n');
  const said = !pipeline
    ? ''
    : pipeline.stages.length === 0
      ? trans.__('no stages yet')
      : pipeline.problems.some(({ severity }) => severity === 'error')
        ? trans.__('cannot run yet')
        : !plan
          ? ''
          : plan.up_to_date
            ? trans.__('up to date (%1)', plan.up_to_date)
            : due === plan.stages.length
              ? trans._n('%1 stage to run', '%1 stages to run', due)
              : due > 0
                ? trans._n('%1 stage changed', '%1 stages changed', due)
                : trans.__('nothing changed');
  const other = store?.get().baseline ?? '';
  const against = other || latest?.row.run;
  return (
    <div className="nbp-now" title={expected}>
      <span className="nbp-symbol" aria-hidden="true">
        ◌
      </span>
      <span className="nbp-now-word">{trans.__('now')}</span>
      <span className="nbp-dim">{said}</span>
      <span className="nbp-grow" />
      {against && due > 0 ? (
        <button type="button" className="nbp-link" onClick={() => actions.compare([against, 'now'])}>
          {trans.__('diff %1', against)}
        </button>
      ) : null}
    </div>
  );
}
