import type { CodeDiff, StageDiff } from '../types';
import { Change, Nothing } from './Change';
import { Hunks } from './Hunks';

const MEANINGS: Record<string, string> = {
  options: 'only its options differ',
  format: 'only comments and spaces differ',
  none: 'only its name differs',
};

export function CodePart({ items, stages }: { items: CodeDiff[]; stages: StageDiff[] }) {
  const moved = stages.filter((stage) => stage.moved === true);
  const reasons = new Map(stages.map((stage) => [stage.name, stage.reasons ?? []]));
  if (items.length === 0 && moved.length === 0) {
    return <Nothing what="The code is equal." />;
  }
  return (
    <>
      {moved.length > 0 ? (
        <p className="nbp-hint">stands elsewhere: {moved.map((stage) => stage.name).join(', ')}</p>
      ) : null}
      {items.map((item) => (
        <article key={`${item.unit} ${item.name}`} className="nbp-item">
          <h4>
            {item.unit === 'stage' ? null : <span className="nbp-dim">{item.unit} </span>}
            {item.change === 'renamed' && item.a?.name ? `${item.a.name} → ${item.name}` : item.name}{' '}
            <Change change={item.change} />{' '}
            <span className="nbp-dim">
              {MEANINGS[item.meaning ?? ''] ?? ''}
              {item.lines_added ? ` +${item.lines_added}` : ''}
              {item.lines_removed ? ` −${item.lines_removed}` : ''}
            </span>
          </h4>
          {item.unit === 'stage' && (reasons.get(item.name) ?? []).length > 0 ? (
            <p className="nbp-hint">{(reasons.get(item.name) ?? []).join('; ')}</p>
          ) : null}
          {(item.hunks ?? []).length > 0 ? (
            <Hunks hunks={item.hunks ?? []} label={`changes in ${item.name}`} />
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
  const sign = item.change === 'added' ? '+' : '-';
  const text = (item.change === 'added' ? item.b?.text : item.a?.text) ?? '';
  const lines = text.replace(/\n$/, '').split('\n');
  return <Hunks hunks={[{ lines: lines.map((line) => sign + line) }]} label={`code of ${item.name}`} />;
}
