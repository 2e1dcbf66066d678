import { createContext, useContext } from 'react';

/** What stands in a text in the place of `%1`. */
type Filling = string | number | null | undefined;

/** Texts in somebody's language: JupyterLab's translation bundles are such. `%1`, `%2` stand for the arguments. */
export interface Words {
  __(text: string, ...args: Filling[]): string;
  _n(one: string, many: string, n: number, ...args: Filling[]): string;
}

/** The texts as they stand in the code. */
export const ENGLISH: Words = {
  __: (text, ...args) => filled(text, args),
  _n: (one, many, n, ...args) => filled(n === 1 ? one : many, [n, ...args]),
};

/** What views are translated with: a host that has translations wraps them in its provider. */
export const WordsContext = createContext<Words>(ENGLISH);

export const useWords = (): Words => useContext(WordsContext);

function filled(text: string, args: Filling[]): string {
  return text.replace(/%(\d)/g, (whole, n: string) => String(args[Number(n) - 1] ?? whole));
}
