/** One context for the views of the lab and those that it shares with the widget. */
export { useWords as useTrans, WordsContext as Trans } from '../shared/words';
