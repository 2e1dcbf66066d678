// Bundles lib/ for JupyterLab, into nbpipe/_labextension. `--prod`: minified.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);

// The bundle asks the lab for the versions that stand here: those of the oldest lab that is supported, two minors before
// the one it is built with, or an older lab complains about each of them.
const lab = JSON.parse(readFileSync(require.resolve('@jupyterlab/core-meta/core.package.json'), 'utf8'));
for (const group of [lab.dependencies, lab.resolutions]) {
  for (const [name, range] of Object.entries(group)) {
    const [, major, minor] = /^[~^](\d+)\.(\d+)\./.exec(range) ?? [];
    if (name === '@jupyter/ydoc') {
      group[name] = '>=3.0.0';
    } else if (name.startsWith('@jupyterlab/') && minor !== undefined) {
      group[name] = `^${major}.${Math.max(Number(minor) - 2, 0)}.0`;
    }
  }
}
const core = resolve(root, 'build/core.package.json');
mkdirSync(dirname(core), { recursive: true });
writeFileSync(core, JSON.stringify(lab, null, 2));

const builder = resolve(
  dirname(require.resolve('@jupyter/builder/package.json')),
  'lib/build-labextension.js',
);
const mode = process.argv.includes('--prod') ? [] : ['--development'];
execFileSync(process.execPath, [builder, '--core-package-file', core, ...mode, root], {
  cwd: root,
  stdio: 'inherit',
});
