import { ellipsesIcon, refreshIcon, runIcon } from '@jupyterlab/ui-components';
import { useSyncExternalStore } from 'react';

import { showMenuBelow } from '../menu';
import { baseName } from '../notebooks';
import { Problem } from '../Reading';
import { useTrans } from '../trans';
import type { Actions } from './actions';
import type { PanelModel } from './model';

/** What can be run, of which notebook. */
export function Header({ model, actions }: { model: PanelModel; actions: Actions }) {
  const { path, notebooks, absent } = useSyncExternalStore(model.subscribe, model.get);
  const trans = useTrans();
  return (
    <div className="nbp-head">
      <div className="nbp-head-row">
        <h2 className="nbp-head-title">nbpipe</h2>
        <span className="nbp-grow" />
        <div className="nbp-split">
          <button
            type="button"
            className="nbp-button nbp-primary"
            disabled={!path || absent !== ''}
            title={trans.__('Run what changed since the last run')}
            onClick={() => void model.start({})}
          >
            <runIcon.react tag="span" className="nbp-icon" width="14px" />
            {trans.__('Run')}
          </button>
          <button
            type="button"
            className="nbp-button nbp-primary"
            disabled={!path || absent !== ''}
            aria-haspopup="menu"
            aria-label={trans.__('Ways to run')}
            onClick={(event) => showMenuBelow(actions.runEntries(), event.currentTarget)}
          >
            ▾
          </button>
        </div>
        <button
          type="button"
          className="nbp-tool"
          title={trans.__('Refresh')}
          aria-label={trans.__('Refresh')}
          onClick={() => void model.refresh()}
        >
          <refreshIcon.react tag="span" width="16px" />
        </button>
        <button
          type="button"
          className="nbp-tool"
          title={trans.__('More')}
          aria-label={trans.__('More')}
          aria-haspopup="menu"
          onClick={(event) => showMenuBelow(actions.moreEntries(), event.currentTarget)}
        >
          <ellipsesIcon.react tag="span" width="16px" />
        </button>
      </div>
      {path ? (
        <select
          className="nbp-choose"
          aria-label={trans.__('notebook')}
          title={path}
          value={path}
          onChange={(event) => model.nbpipe.go(event.currentTarget.value)}
        >
          {(notebooks.includes(path) ? notebooks : [path, ...notebooks]).map((one) => (
            <option key={one} value={one}>
              {unlike(one, notebooks)}
            </option>
          ))}
        </select>
      ) : null}
      <Problem text={absent} />
    </div>
  );
}

/** The name of the file; its path, where two have the same name. */
function unlike(path: string, all: readonly string[]): string {
  const name = baseName(path);
  return all.filter((other) => baseName(other) === name).length > 1 ? path : name;
}
