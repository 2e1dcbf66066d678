import { MainAreaWidget } from '@jupyterlab/apputils';

import type { ExportChange, Exported } from '../../shared/api';
import { Hunks } from '../../shared/diff/Hunks';
import type { INbpipe } from '../tokens';
import { View } from '../views/view';
import { hunksOf } from './unified';

/** What an export wrote, and what it changed where one was before; a tab that does not come back after a reload. */
export function writtenTab(
  nbpipe: INbpipe,
  { folder, changed, notes }: Exported,
  open: (path: string) => void,
): MainAreaWidget<View> {
  const { trans } = nbpipe;
  const words = {
    new: trans.__('new'),
    changed: trans.__('changed'),
    same: trans.__('same'),
    removed: trans.__('removed'),
  };
  const moved = changed.filter(({ diff }) => diff);
  const others = changed.filter(({ diff }) => !diff);
  const link = ({ path, status }: ExportChange) => (
    <>
      {status === 'removed' ? (
        path
      ) : (
        <button type="button" className="nbp-link" onClick={() => open(`${folder}/${path}`)}>
          {path}
        </button>
      )}{' '}
      <span className="nbp-dim">{words[status]}</span>
    </>
  );
  const content = new View(
    nbpipe,
    {},
    { label: trans.__('Export %1', folder), caption: trans.__('What was written for the scheduler') },
    <div className="nbp-diff nbp-ExportWritten">
      <header className="nbp-toolbar">
        <h2 className="nbp-title">
          {folder} <span className="nbp-dim">{trans._n('%1 file', '%1 files', changed.length)}</span>
        </h2>
      </header>
      {notes.map((note) => (
        <p key={note} className="nbp-hint">
          {note}
        </p>
      ))}
      {moved.map((change) => (
        <section key={change.path} aria-label={change.path}>
          <h3>{link(change)}</h3>
          <Hunks hunks={hunksOf(change.diff)} label={change.path} />
        </section>
      ))}
      <ul>
        {others.map((change) => (
          <li key={change.path}>{link(change)}</li>
        ))}
      </ul>
    </div>,
  );
  const tab = new MainAreaWidget({ content });
  tab.toolbar.hide();
  tab.title.label = content.title.label;
  tab.title.caption = content.title.caption;
  tab.title.icon = content.title.icon;
  tab.title.closable = true;
  content.node.setAttribute('aria-label', content.title.label);
  return tab;
}
