import type { Words } from '../../shared/words';
import type { Entry } from '../menu';
import type { Part } from '../runs';
import type { Actions } from './actions';

/** `Run ▾` */
export function runEntries(actions: Actions, targets: Promise<Entry[]>): Entry[] {
  const { model } = actions;
  const { trans } = model.nbpipe;
  const { pipeline, stage } = model.get();
  return [
    { label: trans.__('Only what is stale'), run: () => void model.start({}) },
    { label: trans.__('All, from the start'), run: () => void model.start({ fresh: true }) },
    {
      label: stage ? trans.__('From the selected cell (%1)', stage) : trans.__('From the selected cell'),
      enabled: stage !== '',
      run: () => void model.start({ from: stage }),
    },
    {
      label: trans.__('With parameters…'),
      enabled: (pipeline?.params.length ?? 0) > 0,
      run: () => void actions.runWithParams(),
    },
    {
      label: trans.__('On target'),
      entries: targets,
    },
  ];
}

/** `⋯` */
export function moreEntries(actions: Actions, exports: Promise<Entry[]>): Entry[] {
  const { model } = actions;
  const { trans } = model.nbpipe;
  const { path, latest } = model.get();
  const command = (id: string, label: string): Entry[] =>
    actions.has(id) ? [{ label, enabled: path !== '', run: () => actions.command(id, { path }) }] : [];
  return [
    ...command('nbpipe:open-pipeline', trans.__('Open the pipeline in a tab')),
    ...command('nbpipe:suggest-stages', trans.__('Suggest stages')),
    ...command('nbpipe:check', trans.__('Check the notebook')),
    '-',
    {
      label: latest ? trans.__('Open the log of %1', latest.row.run) : trans.__('Open the log'),
      enabled: latest !== undefined,
      run: () => actions.openLog(latest?.row.run ?? ''),
    },
    { label: trans.__('Export'), entries: exports },
  ];
}

/** What can be done with a run. */
export function runMenuEntries(actions: Actions, run: string, exports: Promise<Entry[]>): Entry[] {
  const { model } = actions;
  const { trans, runs } = model.nbpipe;
  const { path, store } = model.get();
  const row = store?.find(run);
  const state = store?.get();
  if (!store || !state) {
    return [];
  }
  const others = state.selected.filter((other) => other !== run);
  const on = row?.status === 'running';
  return [
    { label: trans.__('Open log'), run: () => actions.openLog(run) },
    ...(on ? [{ label: trans.__('Stop'), run: () => void runs.stop(path, run) }] : []),
    '-',
    {
      label: trans.__('Baseline'),
      checked: state.baseline === run,
      run: () => store.setBaseline(run),
    },
    { label: trans.__('Pin'), checked: state.pinned.includes(run), run: () => store.pin(run) },
    {
      label: trans.__('Select for compare'),
      checked: state.selected.includes(run),
      run: () => store.toggle(run),
    },
    {
      label:
        others.length > 0
          ? trans.__('Compare with %1', others.join(', '))
          : trans.__('Compare with selected'),
      enabled: others.length > 0,
      run: () => actions.compare([...others, run]),
    },
    { label: trans.__('Compare with now'), run: () => actions.compare([run, 'now']) },
    '-',
    {
      label: trans.__('Run again with these parameters'),
      run: () => void model.start({ params_from: run }),
    },
    {
      label: trans.__('Restore these parameters into the notebook'),
      run: () => void actions.restoreParams(run),
    },
    { label: trans.__('Restore this notebook'), run: () => void actions.checkOut(run) },
    '-',
    { label: trans.__('Export as it is now'), entries: exports },
    { label: trans.__('Promote…'), enabled: !on, run: () => void actions.promote(run) },
    { label: trans.__('Delete…'), enabled: !on, run: () => void actions.remove(run) },
  ];
}

/** What can be done with a stage of the graph. */
export function stageEntries(
  trans: Words,
  stage: string,
  start: (part: Part) => void,
  jump: (stage: string) => void,
): Entry[] {
  return [
    { label: trans.__('Go to the cell'), run: () => jump(stage) },
    '-',
    { label: trans.__('Run this stage'), run: () => start({ from: stage, until: stage }) },
    { label: trans.__('Run from here'), run: () => start({ from: stage }) },
    { label: trans.__('Run up to here'), run: () => start({ until: stage }) },
  ];
}
