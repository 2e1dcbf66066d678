import { anything, metric, size, whole } from '../format';
import type { DataDiff, FieldDiff, Figures, FileDiff, Stored } from '../types';
import { Change, Nothing } from './Change';
import { Hunks } from './Hunks';
import { useWords, type Words } from '../words';

export function DataPart({ items, files }: { items: DataDiff[]; files: FileDiff[] }) {
  const trans = useWords();
  if (items.length === 0 && files.length === 0) {
    return <Nothing what={trans.__('The data is equal.')} />;
  }
  return (
    <>
      {items.map((item) => (
        <article key={`${item.stage} ${item.name}`} className="nbp-item">
          <h4>
            {item.name} <span className="nbp-dim">{item.stage ?? ''}</span> <Change change={item.change} />
          </h4>
          <p className="nbp-hint">
            {[stored(item.a, trans), stored(item.b, trans)].filter(Boolean).join(' → ')}
            {item.note ? ` · ${item.note}` : ''}
          </p>
          {(item.fields ?? []).length > 0 ? <Fields fields={item.fields ?? []} /> : null}
          {item.more_fields ? <p className="nbp-hint">{trans.__('and %1 more', item.more_fields)}</p> : null}
          {(item.hunks ?? []).length > 0 ? (
            <Hunks hunks={item.hunks ?? []} label={trans.__('changes in %1', item.name)} />
          ) : null}
        </article>
      ))}
      {files.length > 0 ? <Files files={files} /> : null}
      {files
        .filter((file) => (file.hunks ?? []).length > 0)
        .map((file) => (
          <Hunks key={file.path} hunks={file.hunks ?? []} label={trans.__('changes in %1', file.path)} />
        ))}
    </>
  );
}

function Fields({ fields }: { fields: FieldDiff[] }) {
  const trans = useWords();
  return (
    <table aria-label={trans.__('columns')}>
      <thead>
        <tr>
          <th scope="col">{trans.__('column')}</th>
          <th scope="col">{trans.__('change')}</th>
          <th scope="col">{trans.__('distribution')}</th>
          <th scope="col" className="nbp-number">
            {trans.__('missing')}
          </th>
          <th scope="col" className="nbp-number">
            {trans.__('mean')}
          </th>
          <th scope="col">{trans.__('from … to')}</th>
        </tr>
      </thead>
      <tbody>
        {fields.map((field) => (
          <tr key={field.name}>
            <th scope="row">
              {field.name || trans.__('values')} <span className="nbp-dim">{types(field)}</span>
            </th>
            <td>
              <Change change={field.change} />
            </td>
            <td>
              <Bins a={field.a_bins ?? []} b={field.b_bins ?? []} name={field.name} />
              {field.shift ? (
                <span className="nbp-dim"> {trans.__('%1 % apart', (field.shift * 100).toFixed(0))}</span>
              ) : null}
            </td>
            <td className="nbp-number">{both(field, (figures) => figures.missing ?? 0)}</td>
            <td className="nbp-number">{both(field, (figures) => figures.mean)}</td>
            <td>
              {both(field, (figures) =>
                figures.min == null ? null : `${short(figures.min)} … ${short(figures.max)}`,
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function types(field: FieldDiff): string {
  const a = field.a?.dtype ?? '';
  const b = field.b?.dtype ?? '';
  return a && b && a !== b ? `${a} → ${b}` : b || a;
}

function both(field: FieldDiff, pick: (figures: Figures) => number | string | null | undefined): string {
  const a = field.a ? short(pick(field.a)) : '';
  const b = field.b ? short(pick(field.b)) : '';
  return a === b ? a : [a || '–', b || '–'].join(' → ');
}

function short(value: unknown): string {
  if (value === null || value === undefined) {
    return '';
  }
  return typeof value === 'number' ? metric(value) : anything(value).slice(0, 24);
}

/** Two histograms over the same edges: before as an outline, after filled. */
function Bins({ a, b, name }: { a: number[]; b: number[]; name: string }) {
  const trans = useWords();
  const most = Math.max(...a, ...b, 0);
  if (most === 0) {
    return null;
  }
  const width = 120 / Math.max(a.length, b.length);
  const bars = (bins: number[], kind: string) =>
    bins.map((bin, n) => (
      <rect
        key={n}
        className={kind}
        x={n * width + 0.5}
        width={Math.max(width - 1, 0.5)}
        y={24 - (bin / most) * 23}
        height={(bin / most) * 23}
      />
    ));
  return (
    <svg
      className="nbp-bins"
      width="122"
      height="26"
      role="img"
      aria-label={trans.__('distribution of %1', name || trans.__('the values'))}
    >
      {bars(b, 'nbp-bin-after')}
      {bars(a, 'nbp-bin-before')}
    </svg>
  );
}

function stored(side: Stored | null | undefined, trans: Words): string {
  if (!side) {
    return '';
  }
  const shape =
    side.rows !== undefined
      ? trans._n('%2 row', '%2 rows', side.rows, whole(side.rows))
      : (side.shape ?? []).join(' × ');
  return [
    side.type,
    shape,
    side.dtype,
    side.size === undefined ? '' : size(side.size),
    side.preview?.slice(0, 80),
  ]
    .filter(Boolean)
    .join(' · ');
}

function Files({ files }: { files: FileDiff[] }) {
  const trans = useWords();
  return (
    <table aria-label={trans.__('files')}>
      <thead>
        <tr>
          <th scope="col">{trans.__('file')}</th>
          <th scope="col">{trans.__('change')}</th>
          <th scope="col">{trans.__('stages')}</th>
          <th scope="col">{trans.__('size')}</th>
        </tr>
      </thead>
      <tbody>
        {files.map((file) => (
          <tr key={`${file.role} ${file.path}`}>
            <th scope="row">
              {file.path} <span className="nbp-dim">{file.role ?? ''}</span>
            </th>
            <td>
              <Change change={file.change} />
            </td>
            <td className="nbp-dim">{(file.stages ?? []).join(', ')}</td>
            <td>
              {[file.a, file.b].map((side) => (side?.size === undefined ? '–' : size(side.size))).join(' → ')}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
