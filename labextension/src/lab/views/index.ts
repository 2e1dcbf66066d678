import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';

import { INbpipe } from '../tokens';
import { asksForAnother, type Args } from './args';
import { runsToCompare, runToRead } from './unsaid';
import type { View } from './view';

interface Kind {
  command: string;
  label: string;
  caption: string;
  /** What nobody said. */
  complete?: (nbpipe: INbpipe, args: Args) => Promise<Args>;
  /** Two views of the same thing are one. */
  id: (args: Args) => string;
  make: (nbpipe: INbpipe, args: Args) => Promise<View>;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const list = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];

/** The tabs of the main area: their code is loaded when the first of them opens. */
export const views: JupyterFrontEndPlugin<void> = {
  id: '@nbpipe/labextension:views',
  description: 'Compare, Log and Pipeline in tabs, there again after a reload.',
  autoStart: true,
  requires: [INbpipe],
  optional: [ILayoutRestorer, ICommandPalette],
  activate: (app, nbpipe: INbpipe, restorer: ILayoutRestorer | null, palette: ICommandPalette | null) => {
    const { trans } = nbpipe;
    const kinds: Kind[] = [
      {
        command: 'nbpipe:compare-runs',
        label: trans.__('Compare runs'),
        caption: trans.__('Parameters, metrics, code and outputs of runs, side by side'),
        complete: async (given, args) => {
          const path = text(args.path);
          const runs = await runsToCompare(given.backend(path), list(args.runs));
          if (runs.includes('now')) {
            await given.notebooks.save(path);
          }
          return { ...args, runs };
        },
        id: ({ path, runs }) => `nbpipe-compare:${text(path)}:${list(runs).sort().join(',')}`,
        make: async (given, { path, runs, baseline }) =>
          (await import('./compare')).compareView(given, text(path), list(runs), text(baseline)),
      },
      {
        command: 'nbpipe:open-log',
        label: trans.__('Open the log of a run'),
        caption: trans.__('What a run printed, followed while it goes on'),
        complete: async (given, args) => ({
          ...args,
          run: await runToRead(given.backend(text(args.path)), text(args.run)),
        }),
        id: ({ path, run }) => `nbpipe-log:${text(path)}:${text(run)}`,
        make: async (given, { path, run, stage }) =>
          (await import('./log')).logView(given, text(path), text(run), text(stage)),
      },
      {
        command: 'nbpipe:open-pipeline',
        label: trans.__('Open the pipeline'),
        caption: trans.__('The graph of the notebook in front, large'),
        id: ({ path }) => `nbpipe-pipeline:${text(path)}`,
        make: async (given, { path }) => (await import('./pipeline')).pipelineView(given, text(path)),
      },
    ];
    for (const kind of kinds) {
      register(app, nbpipe, kind, restorer);
      palette?.addItem({ command: kind.command, category: 'nbpipe' });
    }
  },
};

function register(app: JupyterFrontEnd, nbpipe: INbpipe, kind: Kind, restorer: ILayoutRestorer | null): void {
  const tracker = new WidgetTracker<MainAreaWidget<View>>({ namespace: kind.command.replace(':', '-') });
  const about = (args: Args): Args => ({
    ...Object.fromEntries(['run', 'stage', 'runs', 'baseline'].flatMap((key) => pair(args, key))),
    path: text(args.path) || nbpipe.path,
  });
  /** Tabs on their way: who asks for the same meanwhile waits for it. */
  const opening = new Map<string, Promise<MainAreaWidget<View>>>();
  const open = async (id: string, args: Args, activate: boolean): Promise<MainAreaWidget<View>> => {
    const content = await kind.make(nbpipe, args);
    const tab = new MainAreaWidget({ content });
    tab.toolbar.hide();
    tab.id = id;
    tab.title.icon = content.title.icon;
    tab.title.closable = true;
    name(tab);
    app.shell.add(tab, 'main', { mode: 'tab-after', activate });
    await tracker.add(tab);
    return tab;
  };
  let restored = false;
  void app.restored.then(() => {
    restored = true;
  });
  app.commands.addCommand(kind.command, {
    label: kind.label,
    caption: kind.caption,
    describedBy: { args: { type: 'object', properties: { path: { type: 'string' } } } },
    isEnabled: (given) => text(given.path) !== '' || nbpipe.path !== '',
    execute: async (given) => {
      const said = about(given as Args);
      const args = (await kind.complete?.(nbpipe, said)) ?? said;
      const id = kind.id(args);
      const first = !opening.has(id) && !tracker.find((one) => one.id === id);
      if (first) {
        opening.set(
          id,
          open(id, args, !given.restoring).finally(() => opening.delete(id)),
        );
      }
      const tab = (await opening.get(id)) ?? tracker.find((one) => one.id === id);
      if (!tab || given.restoring) {
        return tab;
      }
      if (!first && asksForAnother(args, tab.content.args)) {
        tab.content.become(await kind.make(nbpipe, { ...tab.content.args, ...args }));
        name(tab);
        await tracker.save(tab);
      }
      app.shell.activateById(tab.id);
      if (!restored) {
        // The layout that the lab restores brings its own tab to the front, once all are there.
        void app.restored.then(() => app.shell.activateById(tab.id));
      }
      return tab;
    },
  });
  void restorer?.restore(tracker, {
    command: kind.command,
    args: ({ content }) => ({ ...content.args, restoring: true }),
    name: ({ id }) => id,
  });
}

function pair(args: Args, key: string): [string, Args[string]][] {
  const value = args[key];
  return value === undefined ? [] : [[key, value]];
}

function name(tab: MainAreaWidget<View>): void {
  const { title } = tab.content;
  tab.title.label = title.label;
  tab.title.caption = title.caption;
  // The lab calls every content of its main area the same.
  tab.content.node.setAttribute('aria-label', title.label);
}
