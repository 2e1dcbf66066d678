// Builds the widget: one script and one style sheet. `--prod`: minified, and refused where it is too large.
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(here, '../nbpipe/ui/static');
const prod = process.argv.includes('--prod');
const LIMIT = 120_000;

const options = {
  absWorkingDir: here,
  entryPoints: { widget: 'src/widget/index.tsx' },
  outdir: out,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  minify: prod,
  legalComments: 'none',
  charset: 'utf8',
  logLevel: 'warning',
  define: { 'process.env.NODE_ENV': prod ? '"production"' : '"development"' },
  // A fifth of the size of React, and every widget carries its script.
  alias: {
    react: 'preact/compat',
    'react/jsx-runtime': 'preact/jsx-runtime',
    'react-dom/client': 'preact/compat/client',
    'react-dom': 'preact/compat',
  },
};

if (process.argv.includes('--watch')) {
  await (await esbuild.context(options)).watch();
} else {
  await esbuild.build(options);
  const size = statSync(resolve(out, 'widget.js')).size;
  if (prod && size >= LIMIT) {
    console.error(`widget.js has ${size} bytes, and ${LIMIT} is the limit`);
    process.exit(1);
  }
  console.log(`nbpipe/ui/static/widget.js  ${(size / 1000).toFixed(1)} kB`);
}
