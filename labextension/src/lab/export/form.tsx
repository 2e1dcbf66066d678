import type { TranslationBundle } from '@jupyterlab/translation';
import { useState, type ReactNode } from 'react';

import type { Exporter, ExportQuestion } from '../../shared/api';
import { useOwnId } from '../../shared/ownId';

/** What is asked before a pipeline is written for a scheduler; "" where nothing is said. */
export interface ExportWishes {
  out: string;
  schedule: string;
  image: string;
  store: string;
  profile: string;
  /** One a line. */
  trigger_files: string;
  trigger_datasets: string;
  /** A parameter. */
  logical_date: string;
  fresh: boolean;
  force: boolean;
}

/** What was wished for, as the server wants to hear it; nothing of what was left empty. */
export function wishesToSend(wishes: ExportWishes): Partial<ExportQuestion> {
  const { trigger_files, trigger_datasets, ...plain } = wishes;
  const listed = { trigger_files: lines(trigger_files), trigger_datasets: lines(trigger_datasets) };
  const given = Object.entries({ ...plain, ...listed }).filter(([, value]) =>
    typeof value === 'boolean' ? value : value.length > 0,
  );
  return Object.fromEntries(given);
}

function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

/** Why it was not written. */
export interface ExportRefusal {
  message: string;
  fix: string;
  /** The stage it is about; "" for none. */
  stage: string;
}

interface Props {
  exporter: Exporter;
  folder: string;
  profiles: string[];
  /** Names of the parameters. */
  params: string[];
  wishes: ExportWishes;
  trans: TranslationBundle;
  /** Writes it; a refusal is shown, and the form stays. */
  onSubmit: (wishes: ExportWishes) => Promise<ExportRefusal | undefined>;
  onStage: (stage: string) => void;
  onCancel: () => void;
}

/** Folder, schedule, image and store of an export. */
export function ExportForm(props: Props) {
  const { exporter, folder, profiles, params, wishes, trans, onSubmit, onStage, onCancel } = props;
  const [now, setNow] = useState(wishes);
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<ExportRefusal>();
  const change = (part: Partial<ExportWishes>) => setNow((before) => ({ ...before, ...part }));
  const submit = async () => {
    setBusy(true);
    setRefusal(await onSubmit(now));
    setBusy(false);
  };
  const text = (name: 'out' | 'schedule' | 'image' | 'store', placeholder: string) => (id: string) => (
    <input
      id={id}
      className="nbp-input"
      autoComplete="off"
      spellCheck={false}
      placeholder={placeholder}
      aria-describedby={`${id}-help`}
      value={now[name]}
      onChange={(event) => change({ [name]: event.currentTarget.value })}
    />
  );
  const lines = (name: 'trigger_files' | 'trigger_datasets', placeholder: string) => (id: string) => (
    <textarea
      id={id}
      className="nbp-input"
      rows={2}
      spellCheck={false}
      placeholder={placeholder}
      aria-describedby={`${id}-help`}
      value={now[name]}
      onChange={(event) => change({ [name]: event.currentTarget.value })}
    />
  );
  const choice = (name: 'profile' | 'logical_date', options: string[]) => (id: string) => (
    <select
      id={id}
      aria-describedby={`${id}-help`}
      value={now[name]}
      onChange={(event) => change({ [name]: event.currentTarget.value })}
    >
      <option value="">{trans.__('none')}</option>
      {options.map((option) => (
        <option key={option} value={option}>
          {option}
        </option>
      ))}
    </select>
  );
  const tick = (name: 'fresh' | 'force', label: string) => (
    <label className="nbp-ExportForm-tick">
      <input
        type="checkbox"
        checked={now[name]}
        onChange={(event) => change({ [name]: event.currentTarget.checked })}
      />{' '}
      {label}
    </label>
  );
  return (
    <form
      className="nbp-form"
      noValidate
      aria-label={trans.__('export')}
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) {
          void submit();
        }
      }}
    >
      <p className="nbp-hint">
        {exporter.proof === 'executed'
          ? trans.__('What is written is run on %1 in the tests of nbpipe.', exporter.title)
          : trans.__(
              'Validated only: the form of what is written is checked, nbpipe’s tests do not run it on %1.',
              exporter.title,
            )}
      </p>
      <Field
        label={trans.__('Schedule')}
        help={trans.__('Minute, hour, day, month, weekday. Empty: when it is triggered.')}
      >
        {text('schedule', '30 6 * * 1-5')}
      </Field>
      {exporter.triggers.includes('file') ? (
        <Field
          label={trans.__('Files')}
          help={trans.__('A run starts when one of these changes. From the notebook’s folder, one a line.')}
        >
          {lines('trigger_files', 'data/*.csv')}
        </Field>
      ) : null}
      {exporter.triggers.includes('dataset') ? (
        <Field
          label={trans.__('Datasets')}
          help={trans.__(
            'A run starts when %1 is told that one of these was updated. One a line.',
            exporter.title,
          )}
        >
          {lines('trigger_datasets', 's3://bucket/orders')}
        </Field>
      ) : null}
      <Field
        label={trans.__('Image')}
        help={trans.__('Container of the stages, where the scheduler has them.')}
      >
        {text('image', 'registry.example.com/team/digits:1')}
      </Field>
      <Field label={trans.__('Store')} help={trans.__('URL for the results, where stages share no disk.')}>
        {text('store', 's3://bucket/nbpipe')}
      </Field>
      {profiles.length > 0 ? (
        <Field label={trans.__('Profile')} help={trans.__('Values of the parameters.')}>
          {choice('profile', profiles)}
        </Field>
      ) : null}
      {exporter.logical_date && params.length > 0 ? (
        <Field label={trans.__('Date')} help={trans.__('The parameter that gets the date of each run.')}>
          {choice('logical_date', params)}
        </Field>
      ) : null}
      <Field label={trans.__('Folder')} help={trans.__('In this lab.')}>
        {text('out', folder)}
      </Field>
      {tick('fresh', trans.__('Each run computes everything again'))}
      {tick('force', trans.__('Write over files that were edited there'))}
      {refusal ? (
        <p className="nbp-problem" role="alert">
          {refusal.message}. <span className="nbp-dim">{refusal.fix}</span>{' '}
          {refusal.stage ? (
            <button type="button" className="nbp-link" onClick={() => onStage(refusal.stage)}>
              {trans.__('Show “%1”', refusal.stage)}
            </button>
          ) : null}
        </p>
      ) : null}
      <footer>
        <span className="nbp-dim nbp-grow" role="status">
          {busy ? trans.__('writing …') : ''}
        </span>
        <button type="button" className="nbp-button" onClick={onCancel}>
          {trans.__('Cancel')}
        </button>
        <button type="submit" className="nbp-button nbp-primary" disabled={busy}>
          {trans.__('Export')}
        </button>
      </footer>
    </form>
  );
}

function Field({
  label,
  help,
  children,
}: {
  label: string;
  help: string;
  children: (id: string) => ReactNode;
}) {
  const id = useOwnId();
  return (
    <div className="nbp-field">
      <label className="nbp-field-name" htmlFor={id}>
        {label}
      </label>
      {children(id)}
      <p className="nbp-dim nbp-field-note" id={`${id}-help`}>
        {help}
      </p>
    </div>
  );
}
