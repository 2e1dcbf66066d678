import { anything } from '../format';
import type { ParamDiff } from '../types';
import { Change, Nothing } from './Change';

export function ParamsPart({ items }: { items: ParamDiff[] }) {
  if (items.length === 0) {
    return <Nothing what="The parameters are equal." />;
  }
  return (
    <table aria-label="parameters">
      <thead>
        <tr>
          <th scope="col">parameter</th>
          <th scope="col">change</th>
          <th scope="col">before</th>
          <th scope="col">after</th>
          <th scope="col">why</th>
          <th scope="col">read by</th>
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
