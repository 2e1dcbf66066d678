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

/** A label on a string. */
const TAG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">' +
  '<path class="jp-icon3 jp-icon-selectable" fill="#616161" d="M11.2 3H4.5A1.5 1.5 0 0 0 3 4.5v6.7a2 2 0 0 0 .6 1.4l7.8 7.8a2 2 0 0 0 2.8 0l6.2-6.2a2 2 0 0 0 0-2.8l-7.8-7.8A2 2 0 0 0 11.2 3ZM7 8.6A1.6 1.6 0 1 1 7 5.4a1.6 1.6 0 0 1 0 3.2Z"/></svg>';

export const tagIcon = new LabIcon({ name: 'nbpipe:tag', svgstr: TAG });

/** A label that is not there yet. */
const SUGGEST =
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">' +
  '<g class="jp-icon3 jp-icon-selectable" fill="#616161"><path d="m12 3 1.9 5.1L19 10l-5.1 1.9L12 17l-1.9-5.1L5 10l5.1-1.9Z"/>' +
  '<path d="m18.5 14 .9 2.6 2.6.9-2.6.9-.9 2.6-.9-2.6-2.6-.9 2.6-.9Z"/></g></svg>';

export const suggestIcon = new LabIcon({ name: 'nbpipe:suggest', svgstr: SUGGEST });

/** The pipeline, to be run. */
const RUN =
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">' +
  '<g class="jp-icon3 jp-icon-selectable" fill="#616161"><path d="M10 5v14l10-7Z"/>' +
  '<path d="M3 4.5h4.5v4H3Zm0 5.7h4.5v4H3ZM3 16h4.5v4H3Z"/></g></svg>';

export const runPipelineIcon = new LabIcon({ name: 'nbpipe:run', svgstr: RUN });
