import { nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { createContext, useContext } from 'react';

/** What views are translated with: a host wraps them in a provider. */
export const Trans = createContext<TranslationBundle>(nullTranslator.load('nbpipe'));

export const useTrans = (): TranslationBundle => useContext(Trans);
