import type { EnvironmentDiff } from '../types';
import { Change, Nothing } from './Change';
import { Hunks } from './Hunks';

export function EnvironmentPart({ items }: { items: EnvironmentDiff[] }) {
  if (items.length === 0) {
    return <Nothing what="The environments are equal." />;
  }
  const hunks = items.filter((item) => (item.hunks ?? []).length > 0);
  return (
    <>
      <table aria-label="environment">
        <thead>
          <tr>
            <th scope="col">what</th>
            <th scope="col">name</th>
            <th scope="col">change</th>
            <th scope="col">before</th>
            <th scope="col">after</th>
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
