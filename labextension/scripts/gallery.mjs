// Shows the shared components with made-up data, in light and dark: `npm run gallery`, then open build/gallery/index.html.
import { writeFileSync, mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const out = resolve(here, 'build/gallery');
mkdirSync(out, { recursive: true });
await esbuild.build({
  absWorkingDir: here,
  entryPoints: { gallery: 'gallery/index.tsx' },
  outdir: out,
  bundle: true,
  format: 'iife',
  target: 'es2022',
  jsx: 'automatic',
  logLevel: 'warning',
  alias: {
    react: 'preact/compat',
    'react/jsx-runtime': 'preact/jsx-runtime',
    'react-dom/client': 'preact/compat/client',
    'react-dom': 'preact/compat',
  },
});
writeFileSync(
  resolve(out, 'index.html'),
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>nbpipe components</title><link rel="stylesheet" href="gallery.css"><body><script src="gallery.js"></script></body></html>',
);
console.log('build/gallery/index.html');
