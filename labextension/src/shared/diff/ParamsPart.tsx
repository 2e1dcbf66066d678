import { anything } from '../format';
import type { ParamDiff } from '../types';
import { Change, Nothing } from './Change';
import { useWords } from '../words';

export function ParamsPart({ items }: { items: ParamDiff[] }) {
  const trans = useWords();
  if (items.length === 0) {
    return <Nothing what={trans.__('The parameters are equal.')} />;
  }
  return (
    <table aria-label={trans.__('parameters')}>
      <thead>
        <tr>
          <th scope="col">{trans.__('parameter')}</th>
          <th scope="col">{trans.__('change')}</th>
          <th scope="col">{trans.__('before')}</th>
          <th scope="col">{trans.__('after')}</th>
          <th scope="col">{trans.__('why')}</th>
          <th scope="col">{trans.__('read by')}</th>
        </tr>
      </thead>
      <tbody>
        {items.map((item) => (
          <tr key={item.name}>
            <th scope="row" title={item.b?.help ?? item.a?.help}>
              {item.name}
            </th>
            <td>
              <Change change={item.change} />
            </td>
            <td className="nbp-before">{value(item.a)}</td>
            <td className="nbp-after">{value(item.b)}</td>
            <td className="nbp-dim">{item.reason ?? ''}</td>
            <td className="nbp-dim">{(item.stages ?? []).join(', ')}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function value(side: ParamDiff['a']): string {
  if (!side) {
    return '';
  }
  return 'value' in side ? anything(side.value) : (side.source ?? '');
}
