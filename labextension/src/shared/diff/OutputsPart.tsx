import { size, whole } from '../format';
import type { OutputDiff, Picture } from '../types';
import { Change, Nothing } from './Change';
import { Hunks } from './Hunks';
import { useWords } from '../words';

export function OutputsPart({ items, a, b }: { items: OutputDiff[]; a: string; b: string }) {
  const trans = useWords();
  if (items.length === 0) {
    return <Nothing what={trans.__('The outputs are equal.')} />;
  }
  return (
    <>
      {items.map((item, n) => (
        <article key={n} className="nbp-item">
          <h4>
            {item.stage ?? ''}{' '}
            <span className="nbp-dim">{trans.__('cell %1', item.b_cell ?? item.a_cell)}</span>{' '}
            <Change change={item.change} /> <span className="nbp-dim">{item.kind ?? ''}</span>
          </h4>
          {item.note ? <p className="nbp-hint">{item.note}</p> : null}
          {(item.hunks ?? []).length > 0 ? (
            <Hunks hunks={item.hunks ?? []} label={trans.__('output of %1', item.stage ?? '')} />
          ) : null}
          {item.table ? <TableDiff table={item.table} /> : null}
          {item.image ? <Images image={item.image} a={a} b={b} /> : null}
        </article>
      ))}
    </>
  );
}

function TableDiff({ table }: { table: NonNullable<OutputDiff['table']> }) {
  const trans = useWords();
  const columns = table.columns ?? [];
  return (
    <>
      <table aria-label={trans.__('table, cell by cell')}>
        <thead>
          <tr>
            <th scope="col">{trans.__('row')}</th>
            {columns.map((column, n) => (
              <th scope="col" key={n}>
                {column.name}{' '}
                {column.change && column.change !== 'same' ? <Change change={column.change} /> : null}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {(table.rows ?? []).map((row, n) => (
            <tr key={n}>
              <th scope="row">
                {row.key}{' '}
                {row.change === 'added' || row.change === 'removed' ? <Change change={row.change} /> : null}
              </th>
              {columns.map((_, m) => (
                <TableCell key={m} a={row.a?.[m] ?? null} b={row.b?.[m] ?? null} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {table.more_rows ? <p className="nbp-hint">{trans.__('and %1 more rows', table.more_rows)}</p> : null}
    </>
  );
}

function TableCell({ a, b }: { a: string | null; b: string | null }) {
  if (a === b) {
    return <td>{a ?? ''}</td>;
  }
  return (
    <td>
      {a === null ? null : <del>{a}</del>} {b === null ? null : <ins>{b}</ins>}
    </td>
  );
}

const DRAWN = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

/** The address of a picture's own bytes; null for what is not a plain raster image in base64. */
export function dataAddress(picture: Picture | null | undefined): string | null {
  const data = picture?.data?.replace(/\s/g, '') ?? '';
  const mime = picture?.mime ?? '';
  if (!DRAWN.includes(mime) || data === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(data)) {
    return null;
  }
  return `data:${mime};base64,${data}`;
}

function Images({ image, a, b }: { image: NonNullable<OutputDiff['image']>; a: string; b: string }) {
  const trans = useWords();
  const mask = image.mask ? dataAddress({ mime: 'image/png', data: image.mask }) : null;
  return (
    <>
      <div className="nbp-images">
        <Image picture={image.a} label={a} />
        <Image picture={image.b} label={b} />
        {mask ? (
          <figure>
            <img src={mask} alt={trans.__('pixels that differ')} />
            <figcaption>
              {trans.__('%1 pixels differ', image.pixels === undefined ? '' : whole(image.pixels))}
              {image.share ? ` (${(image.share * 100).toFixed(1)} %)` : ''}
            </figcaption>
          </figure>
        ) : null}
      </div>
    </>
  );
}

function Image({ picture, label }: { picture: Picture | null | undefined; label: string }) {
  const trans = useWords();
  if (!picture) {
    return null;
  }
  const source = dataAddress(picture);
  const about = [
    picture.width ? `${picture.width} × ${picture.height ?? ''}` : '',
    picture.size ? size(picture.size) : '',
  ]
    .filter(Boolean)
    .join(', ');
  return (
    <figure>
      {source ? (
        <img src={source} alt={trans.__('output of %1', label)} />
      ) : (
        <p className="nbp-hint">{trans.__('%1 is not drawn here', picture.mime ?? trans.__('image'))}</p>
      )}
      <figcaption>
        {label} <span className="nbp-dim">{about}</span>
      </figcaption>
    </figure>
  );
}
