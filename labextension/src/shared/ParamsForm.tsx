import { useEffect, useRef, useState } from 'react';

import type { Json, PipelineParam, Values } from './api';
import { useOwnId } from './ownId';
import { readValue, same, typed, usual } from './paramValues';
import { useWords, type Words } from './words';

export interface ParamsFormProps {
  /** Of a `PipelineView`. */
  params: PipelineParam[];
  profiles: Record<string, Values>;
  /** To begin with: of the run that is run again. */
  values?: Values;
  profile?: string;
  /** What the button says: `Run`. */
  action: string;
  /** Only what differs from the profile's values and the defaults; `profile` is "" for none. */
  onSubmit: (given: { params: Values; profile: string }) => void;
  /** Escape, or the button. */
  onCancel: () => void;
}

/** Fields that were made from the notebook's parameters. Enter submits, Escape cancels. */
export function ParamsForm(props: ParamsFormProps) {
  const trans = useWords();
  const { params, profiles, action, onSubmit, onCancel } = props;
  const [profile, setProfile] = useState(props.profile ?? '');
  const [texts, setTexts] = useState<Record<string, string>>(() => first(params, props.values));
  const [asked, setAsked] = useState(false);
  const root = useRef<HTMLFormElement>(null);
  const chosen = profiles[profile];
  const read = params.map((param) => ({
    param,
    answer: answerOf(param, texts[param.name] ?? '', chosen, trans),
  }));
  const changed = read.filter(
    ({ param, answer }) => answer && 'value' in answer && !same(answer.value, usual(param, chosen)),
  );

  useEffect(() => root.current?.querySelector<HTMLElement>('input, select, textarea')?.focus(), []);

  const submit = () => {
    setAsked(true);
    const wrong = read.find(({ answer }) => answer && 'problem' in answer);
    if (wrong) {
      for (const field of root.current?.querySelectorAll<HTMLElement>('[data-param]') ?? []) {
        if (field.dataset['param'] === wrong.param.name) {
          field.focus();
        }
      }
      return;
    }
    const given = changed.map(({ param, answer }): [string, Json] => [
      param.name,
      answer && 'value' in answer ? answer.value : null,
    ]);
    onSubmit({ params: Object.fromEntries(given), profile });
  };
  return (
    <form
      className="nbp-form"
      ref={root}
      noValidate
      aria-label={trans.__('parameters')}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onKeyDown={(event) => {
        if (event.key === 'Escape') {
          event.preventDefault();
          event.stopPropagation();
          onCancel();
        }
      }}
    >
      {Object.keys(profiles).length > 0 ? (
        <label className="nbp-field">
          <span className="nbp-field-name">{trans.__('profile')}</span>
          <select value={profile} onChange={(event) => setProfile(event.currentTarget.value)}>
            <option value="">{trans.__('none')}</option>
            {Object.keys(profiles).map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      ) : null}
      {params.length === 0 ? (
        <p className="nbp-hint">{trans.__('This notebook has no parameters.')}</p>
      ) : null}
      {read.map(({ param, answer }) => (
        <Field
          key={param.name}
          param={param}
          text={texts[param.name] ?? ''}
          usual={usual(param, chosen)}
          changed={changed.some((one) => one.param === param)}
          problem={
            answer && 'problem' in answer && (asked || (texts[param.name] ?? '') !== '') ? answer.problem : ''
          }
          onText={(text) => setTexts((now) => ({ ...now, [param.name]: text }))}
        />
      ))}
      <footer>
        <span className="nbp-dim nbp-grow" role="status">
          {changed.length > 0 ? trans.__('%1 changed', changed.length) : ''}
        </span>
        <button type="button" className="nbp-button" onClick={onCancel}>
          {trans.__('Cancel')}
        </button>
        <button type="submit" className="nbp-button nbp-primary">
          {action}
        </button>
      </footer>
    </form>
  );
}

interface FieldProps {
  param: PipelineParam;
  text: string;
  usual: Json | undefined;
  changed: boolean;
  problem: string;
  onText: (text: string) => void;
}

function Field({ param, text, usual: value, changed, problem, onText }: FieldProps) {
  const trans = useWords();
  const id = useOwnId();
  const said = [param.help ? `${id}-help` : '', problem ? `${id}-problem` : ''].filter(Boolean).join(' ');
  const common = {
    id,
    'data-param': param.name,
    'aria-invalid': problem ? true : undefined,
    'aria-describedby': said || undefined,
    'aria-required': param.required || undefined,
  };
  const choices = param.choices ?? (param.type === 'bool' ? [true, false] : null);
  const shown = value === undefined ? (param.required ? 'required' : '') : typed(value);
  return (
    <div className={`nbp-field${changed ? ' nbp-field-changed' : ''}`}>
      <label className="nbp-field-name" htmlFor={id}>
        {param.name}
        {param.required ? (
          <span className="nbp-bad" aria-hidden="true">
            {' '}
            *
          </span>
        ) : null}
        <span className="nbp-dim"> {param.type}</span>
      </label>
      {choices ? (
        <select {...common} value={text} onChange={(event) => onText(event.currentTarget.value)}>
          <option value="">
            {value === undefined ? trans.__('choose') : trans.__('%1 (as it is)', shown)}
          </option>
          {choices.map((choice) => (
            <option key={typed(choice)} value={typed(choice)}>
              {typed(choice)}
            </option>
          ))}
        </select>
      ) : (
        <input
          {...common}
          className="nbp-input"
          type={param.secret ? 'password' : 'text'}
          inputMode={param.type === 'int' ? 'numeric' : param.type === 'float' ? 'decimal' : undefined}
          autoComplete="off"
          spellCheck={false}
          placeholder={param.secret ? '' : shown}
          value={text}
          onInput={(event) => onText(event.currentTarget.value)}
        />
      )}
      {problem ? (
        <p className="nbp-bad nbp-field-note" id={`${id}-problem`}>
          {problem}
        </p>
      ) : null}
      {param.help ? (
        <p className="nbp-dim nbp-field-note" id={`${id}-help`}>
          {param.help}
        </p>
      ) : null}
    </div>
  );
}

function first(params: PipelineParam[], values: Values = {}): Record<string, string> {
  return Object.fromEntries(
    params.filter((param) => param.name in values).map((param) => [param.name, typed(values[param.name])]),
  );
}

function answerOf(param: PipelineParam, text: string, profile: Values | undefined, trans: Words) {
  const choice = (param.choices ?? []).find((one) => typed(one) === text);
  const answer = choice === undefined ? readValue(param, text, trans) : { value: choice };
  return answer === undefined && param.required && usual(param, profile) === undefined
    ? { problem: trans.__('needs a value') }
    : answer;
}
