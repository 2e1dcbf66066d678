import { createRoot } from 'react-dom/client';
import { useEffect, useState, type ReactNode } from 'react';

import { DiffView } from '../shared/DiffView';
import { HistoryView } from '../shared/HistoryView';
import { ProgressView } from '../shared/ProgressView';
import { HistoryStore, type Kept } from '../shared/store';
import type { Page, Progress } from '../shared/types';
import { useTick } from '../shared/useTick';
import '../shared/style/base.css';
import '../shared/style/table.css';
import '../shared/style/compare.css';
import '../shared/style/diff.css';
import { KernelBackend, type Model } from './backend';

const KEPT = ['query', 'selected', 'baseline', 'pinned', 'columns'] as const;

interface Place {
  model: Model;
  el: HTMLElement;
}

type Made = [view: ReactNode, end: () => void];

function render({ model, el }: Place): () => void {
  el.classList.add('nbp');
  // JupyterLab's shortcuts (C copies the cell, arrows move through cells) are for cells, not for what is inside one.
  el.setAttribute('data-lm-suppress-shortcuts', 'true');
  const kind = model.get('view');
  const [view, end] = kind === 'history' ? history(model) : kind === 'diff' ? diff(model) : progress(model);
  const show = hideStatic(model);
  const root = createRoot(el);
  root.render(view);
  return () => {
    root.unmount();
    end();
    show();
  };
}

function history(model: Model): Made {
  const backend = new KernelBackend(model);
  const kept = Object.fromEntries(KEPT.map((name) => [name, model.get(name)])) as unknown as Kept;
  const save = (now: Kept) => {
    KEPT.forEach((name) => model.set(name, now[name]));
    model.save_changes();
  };
  const snapshot = model.get('snapshot') as Partial<Page>;
  const store = new HistoryStore(backend, kept, snapshot.rows ? (snapshot as Page) : undefined, save);
  const listeners = KEPT.map((name) => {
    const hear = () => {
      const value = model.get(name);
      if (JSON.stringify(value) !== JSON.stringify(store.get()[name])) {
        store.adopt({ [name]: value });
      }
    };
    model.on(`change:${name}`, hear);
    return () => model.off(`change:${name}`, hear);
  });
  const end = () => {
    listeners.forEach((off) => off());
    store.dispose();
    backend.dispose();
  };
  return [<HistoryView key="history" store={store} />, end];
}

function diff(model: Model): Made {
  const backend = new KernelBackend(model);
  const [a = '', b = ''] = model.get('pair') as string[];
  return [<DiffView key="diff" backend={backend} a={a} b={b} />, () => backend.dispose()];
}

function progress(model: Model): Made {
  return [<Live key="progress" model={model} />, () => undefined];
}

/** A run that is on: its state is a trait, and comes while the kernel is busy with it. */
function Live({ model }: { model: Model }) {
  const [state, setState] = useState(() => received(model));
  useEffect(() => {
    const hear = () => setState(received(model));
    model.on('change:state', hear);
    return () => model.off('change:state', hear);
  }, [model]);
  useTick(state?.view.row.status === 'running');
  return state ? (
    <ProgressView view={state.view} skew={state.skew} />
  ) : (
    <p className="nbp-hint">starting …</p>
  );
}

function received(model: Model): { view: Progress; skew: number } | undefined {
  const view = model.get('state') as Partial<Progress>;
  return view.row ? { view: view as Progress, skew: (view.now ?? 0) - Date.now() / 1000 } : undefined;
}

/** The static copy below the live view, for places where this script does not run, is hidden while it does. */
function hideStatic(model: Model): () => void {
  const id = String(model.get('static_id'));
  if (!/^[0-9a-z]+$/.test(id)) {
    return () => undefined;
  }
  const style = document.createElement('style');
  style.textContent = [
    `.nbp-static-${id} { display: none; }`,
    `.jp-OutputArea-child:has(.nbp-static-${id}) { display: none; }`,
  ].join('\n');
  document.head.append(style);
  return () => style.remove();
}

export default { render };
