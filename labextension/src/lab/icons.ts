import { LabIcon } from '@jupyterlab/ui-components';

/** Three stages, one of them done. */
const PIPELINE =
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">' +
  '<g class="jp-icon3 jp-icon-selectable" fill="#616161">' +
  '<path d="M3 4.5A1.5 1.5 0 0 1 4.5 3h4A1.5 1.5 0 0 1 10 4.5V6h3.5A3.5 3.5 0 0 1 17 9.5V14h2.5a1.5 1.5 0 0 1 1.5 1.5v4a1.5 1.5 0 0 1-1.5 1.5h-4a1.5 1.5 0 0 1-1.5-1.5v-4a1.5 1.5 0 0 1 1-1.41V9.5A1.5 1.5 0 0 0 13.5 8H10v.5A1.5 1.5 0 0 1 8.5 10h-4A1.5 1.5 0 0 1 3 8.5Zm13 11.5v3h3v-3Z"/>' +
  '<path d="M4.5 14h4a1.5 1.5 0 0 1 1.5 1.5v4A1.5 1.5 0 0 1 8.5 21h-4A1.5 1.5 0 0 1 3 19.5v-4A1.5 1.5 0 0 1 4.5 14Zm.5 2v3h3v-3Z" />' +
  '<path d="M5.6 10h1.8v4H5.6Z"/>' +
  '</g></svg>';

export const nbpipeIcon = new LabIcon({ name: 'nbpipe:pipeline', svgstr: PIPELINE });
