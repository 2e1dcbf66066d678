/** A text of nbpipe's in which names stand between backticks, as on the terminal. */
export function Coded({ text = '' }: { text?: string | undefined }) {
  const parts = text.split('`');
  return parts.length % 2 ? (
    <>{parts.map((part, n) => (n % 2 ? <code key={n}>{part}</code> : part))}</>
  ) : (
    <>{text}</>
  );
}
