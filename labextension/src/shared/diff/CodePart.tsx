import { Coded } from '../Coded';
import type { CodeDiff, StageDiff } from '../types';
import { Change, Nothing } from './Change';
import { Hunks } from './Hunks';
import { useWords, type Words } from '../words';

function meaning(kind: string | undefined, trans: Words): string {
  switch (kind) {
    case 'options':
      return trans.__('only its options differ');
    case 'format':
      return trans.__('only comments and spaces differ');
    case 'none':
      return trans.__('only its name differs');
    default:
      return '';
  }
}

export function CodePart({ items, stages }: { items: CodeDiff[]; stages: StageDiff[] }) {
  const trans = useWords();
  const moved = stages.filter((stage) => stage.moved === true);
  const reasons = new Map(stages.map((stage) => [stage.name, stage.reasons ?? []]));
  if (items.length === 0 && moved.length === 0) {
    return <Nothing what={trans.__('The code is equal.')} />;
  }
  return (
    <>
      {moved.length > 0 ? (
        <p className="nbp-hint">
          {trans.__('stands elsewhere: %1', moved.map((stage) => stage.name).join(', '))}
        </p>
      ) : null}
      {items.map((item) => (
        <article key={`${item.unit} ${item.name}`} className="nbp-item">
          <h4>
            {item.unit === 'stage' ? null : <span className="nbp-dim">{item.unit} </span>}
            {item.change === 'renamed' && item.a?.name ? `${item.a.name} → ${item.name}` : item.name}{' '}
            <Change change={item.change} />{' '}
            <span className="nbp-dim">
              {meaning(item.meaning, trans)}
              {item.lines_added ? ` +${item.lines_added}` : ''}
              {item.lines_removed ? ` −${item.lines_removed}` : ''}
            </span>
          </h4>
          {item.unit === 'stage' && (reasons.get(item.name) ?? []).length > 0 ? (
            <p className="nbp-hint">
              <Coded text={(reasons.get(item.name) ?? []).join('; ')} />
            </p>
          ) : null}
          {(item.hunks ?? []).length > 0 ? (
            <Hunks hunks={item.hunks ?? []} label={trans.__('changes in %1', item.name)} />
          ) : item.change === 'added' || item.change === 'removed' ? (
            <Whole item={item} />
          ) : null}
        </article>
      ))}
    </>
  );
}

/** What is there on one side only. */
function Whole({ item }: { item: CodeDiff }) {
  const trans = useWords();
  const sign = item.change === 'added' ? '+' : '-';
  const text = (item.change === 'added' ? item.b?.text : item.a?.text) ?? '';
  const lines = text.replace(/\n$/, '').split('\n');
  return (
    <Hunks hunks={[{ lines: lines.map((line) => sign + line) }]} label={trans.__('code of %1', item.name)} />
  );
}
