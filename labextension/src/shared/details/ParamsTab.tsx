import type { PipelineParam, Values } from '../api';
import { anything } from '../format';
import { useWords } from '../words';

interface Props {
  params: Values;
  given: string[];
  /** Of the notebook as it is now; says defaults and help. */
  known: PipelineParam[];
  baseline?: { run: string; params: Values } | undefined;
}

/** Every parameter: its value, where it comes from, and what the baseline had. */
export function ParamsTab({ params, given, known, baseline }: Props) {
  const trans = useWords();
  const names = Object.keys(params);
  const gone = baseline ? Object.keys(baseline.params).filter((name) => !(name in params)) : [];
  if (names.length + gone.length === 0) {
    return (
      <p className="nbp-hint">{trans.__('This notebook has no parameters: tag a cell %1.', '%%params')}</p>
    );
  }
  return (
    <table className="nbp-values" aria-label={trans.__('parameters')}>
      <thead>
        <tr>
          <th scope="col">{trans.__('parameter')}</th>
          <th scope="col">{trans.__('value')}</th>
          <th scope="col">{baseline ? baseline.run : trans.__('default')}</th>
        </tr>
      </thead>
      <tbody>
        {[...names, ...gone].map((name) => {
          const param = known.find((one) => one.name === name);
          const value = name in params ? anything(params[name]) : '–';
          const before = baseline ? (name in baseline.params ? anything(baseline.params[name]) : '–') : '';
          const differs = baseline !== undefined && value !== before;
          return (
            <tr key={name}>
              <th scope="row" title={param?.help || undefined}>
                {name}
              </th>
              <td title={value} className={differs ? 'nbp-differs' : undefined}>
                {value}
                {given.includes(name) ? <span className="nbp-tag nbp-given">{trans.__('given')}</span> : null}
              </td>
              <td className="nbp-dim" title={baseline ? before : undefined}>
                {baseline
                  ? differs
                    ? before
                    : '='
                  : param && !param.required
                    ? anything(param.default)
                    : ''}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
