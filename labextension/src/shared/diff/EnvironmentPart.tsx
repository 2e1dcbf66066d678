import type { EnvironmentDiff } from '../types';
import { Change, Nothing } from './Change';
import { Hunks } from './Hunks';
import { useWords } from '../words';

export function EnvironmentPart({ items }: { items: EnvironmentDiff[] }) {
  const trans = useWords();
  if (items.length === 0) {
    return <Nothing what={trans.__('The environments are equal.')} />;
  }
  const hunks = items.filter((item) => (item.hunks ?? []).length > 0);
  return (
    <>
      <table aria-label={trans.__('environment')}>
        <thead>
          <tr>
            <th scope="col">{trans.__('what')}</th>
            <th scope="col">{trans.__('name')}</th>
            <th scope="col">{trans.__('change')}</th>
            <th scope="col">{trans.__('before')}</th>
            <th scope="col">{trans.__('after')}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={`${item.group} ${item.name}`}>
              <td className="nbp-dim">{item.group}</td>
              <th scope="row">{item.name}</th>
              <td>
                <Change change={item.change} />
              </td>
              <td className="nbp-before">{item.a ?? ''}</td>
              <td className="nbp-after">{item.b ?? ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {hunks.map((item) => (
        <Hunks key={item.name} hunks={item.hunks ?? []} label={item.name} />
      ))}
    </>
  );
}
