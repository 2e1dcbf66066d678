import { useTrans } from './trans';

/** Why something is not shown: what went wrong, or that it is being read. */
export function Reading({ problem }: { problem: string }) {
  const trans = useTrans();
  return problem ? <Problem text={problem} /> : <p className="nbp-hint">{trans.__('reading …')}</p>;
}

/** What went wrong, said to all. Nothing where nothing did. */
export function Problem({ text }: { text: string | undefined }) {
  return text ? (
    <p className="nbp-problem" role="alert">
      {text}
    </p>
  ) : null;
}
