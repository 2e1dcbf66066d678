import { ENGLISH, type Words } from './words';

type Said = (words: Words, one: string, two: string, three: string) => string;

/** Why a stage runs, or whose result it takes: `nbpipe/plan/`. Those with more words come first. */
const PLANNED: readonly Said[] = [
  (words) => words.__('first run'),
  (words) => words.__('asked for'),
  (words, one) => words.__('its last result was not kept: %1', one),
  (words) => words.__('its last result was not kept'),
  (words) => words.__('definitions stand in another order'),
  (words) => words.__('the seed of the run changed'),
  (words) => words.__('this version of nbpipe makes other keys'),
  (words) => words.__('a stage above runs'),
  (words, one) => words.__('the stored result is damaged: %1', one),
  (words, one) => words.__('%1 computes the same', one),
  (words, one, two) => words.__('%1 and %2 run', one, two),
  (words, one) => words.__('%1 runs', one),
  (words, one, two) => words.__('%1 changed, line %2', one, two),
  (words, one, two) => words.__('%1 changed, %2', one, two),
  (words, one) => words.__('%1 changed', one),
  (words, one) => words.__('%1 is new', one),
  (words, one) => words.__('%1 is no longer part of the stage', one),
  (words, one) => words.__('%1 is no longer read', one),
  (words, one) => words.__('%1 is no longer used', one),
  (words, one) => words.__('%1 is no longer reached', one),
  (words, one) => words.__('from %1', one),
];

/** Why the variables of a stage are stale in the kernel: `nbpipe/live/reasons.py`. */
const STALE: readonly Said[] = [
  (words) => words.__('edited since it ran; save to see what that makes stale'),
  (words, one) => words.__('cell %1 was edited after it ran, or has not run', one),
  (words, one, two) => words.__('the %1 cell %2 was edited after it ran', one, two),
  (words, one, two) => words.__('the %1 cell %2 had not run before it', one, two),
  (words, one, two) => words.__("'%1' in cell %2 was edited after it ran", one, two),
  (words, one) => words.__('cell %1 was edited after it ran', one),
  (words) => words.__('its cells ran in another order than they stand'),
  (words) => words.__('a cell of it ran that has since been edited or taken away'),
  (words, one) => words.__("with which value of the parameter '%1' it ran is not known", one),
  (words, one) => words.__("whether the parameter '%1' changed since cannot be told", one),
  (words, one, two, three) => words.__("'%1' is %2 now, it ran with %3", one, two, three),
  (words, one, two, three) =>
    words.__("the %1 cell %2, which gives '%3', was edited and has not run since", one, two, three),
  (words, one, two, three) => words.__("the %1 cell %2, which gives '%3', has not run", one, two, three),
  (words, one, two) => words.__("'%1', which gives '%2', had not run before it", one, two),
  (words, one, two) => words.__("'%1', which gives '%2', had failed before it", one, two),
  (words, one, two) => words.__("where '%1' came from is not known: cell %2 had not run", one, two),
  (words, one) => words.__("'%1' was defined anew since", one),
  (words, one) => words.__('%1 was edited, and the kernel still has the old one: reload it', one),
  (words, one) => words.__('%1 was loaded anew since, with other code', one),
  (words, one) => words.__('which version of %1 it ran with is not known', one),
  (words, one, two) => words.__("it binds '%1' anew and ran again, without '%2' before it", one, two),
  (words, one, two) => words.__("'%1' came from %2, which is no longer in the notebook", one, two),
  (words, one, two, three) =>
    words.__("%1, which stands below, had bound '%2' before it ran, after '%3'", one, two, three),
  (words, one, two, three) => words.__("%1 had bound '%2' before it ran, after '%3'", one, two, three),
  (words, one) => words.__("'%1' above it is stale", one),
];

/** What a fix of one click does: `nbpipe/check/`. */
const FIXES: readonly Said[] = [
  (words, one, two) => words.__("Make cell %1 the stage '%2'", one, two),
  (words, one, two) => words.__('Write %1 for %2', one, two),
  (words) => words.__('Take the cell out of the pipeline'),
  (words, one) => words.__('Install %1', one),
  (words, one) => words.__('Run cell %1 again', one),
  (words, one) => words.__("Make a list of '%1'", one),
];

/** What the server itself says no with: `nbpipe/server/`. */
const REFUSED: readonly Said[] = [
  (words, one, two) =>
    words.__('%1 on the disk is not what the editor shows (%2): nothing was started', one, two),
  (words) => words.__('Save it, or load it again from the disk; then run it.'),
  (words, one) => words.__('%1 runs that were started here are on', one),
  (words) => words.__('Wait for the end of one, stop one, or start it with nbpipe run.'),
  (words) => words.__('too many questions at once'),
  (words) => words.__('Ask again in a moment.'),
  (words, one) => words.__('there was no answer within %1 seconds', one),
  (words, one) => words.__('%1 is running, and is not deleted', one),
  (words) => words.__('Stop it first.'),
  (words, one) => words.__('%1 exists, and is not written over', one),
  (words, one) => words.__('there is nothing at %1', one),
  (words, one) => words.__('there is no run %1', one),
  (words) => words.__('the files of this lab are not on its disk'),
  (words) => words.__('Open the notebook in a lab whose files are on its own disk.'),
];

const ALL = [PLANNED, STALE, FIXES, REFUSED].map((several) =>
  several.map((say) => ({ say, form: formOf(say) })),
);
const [planned = [], stale = [], fixes = [], refused = []] = ALL;

/** Reasons of a plan, or of a stage that ran: several in one text. */
export const reasonIn = (words: Words, text: string): string =>
  text
    .split('; ')
    .map((one) => inWords(words, one, planned))
    .join('; ');

export const staleIn = (words: Words, text: string): string => inWords(words, text, stale);
export const fixIn = (words: Words, text: string): string => inWords(words, text, fixes);
export const refusalIn = (words: Words, text: string): string => inWords(words, text, refused);

/** The text in somebody's language, where its words are known; what is the user's own in it stays, and so does what is not known. */
function inWords(words: Words, text: string, known: readonly { say: Said; form: RegExp }[]): string {
  for (const { say, form } of known) {
    const found = form.exec(text);
    if (found) {
      const { one = '', two = '', three = '' } = found.groups ?? {};
      return say(words, one, two, three);
    }
  }
  return text;
}

/** The English text as a pattern. */
function formOf(say: Said): RegExp {
  const marks = ['\u0001', '\u0002', '\u0003'] as const;
  const text = say(ENGLISH, ...marks).replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const names = ['one', 'two', 'three'];
  return new RegExp(
    `^${marks.reduce((form, mark, n) => form.replace(mark, `(?<${names[n] ?? ''}>.+?)`), text)}$`,
    's',
  );
}
