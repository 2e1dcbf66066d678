import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Tests read the examples that they share with Python.
  server: { fs: { allow: ['..'] } },
  test: { environment: 'jsdom', testTimeout: 30_000, include: ['tests/*.test.{ts,tsx}'] },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  resolve: {
    alias: {
      'react-dom/client': 'preact/compat/client',
      'react-dom': 'preact/compat',
      'react/jsx-runtime': 'preact/jsx-runtime',
      'react/jsx-dev-runtime': 'preact/jsx-dev-runtime',
      react: 'preact/compat',
    },
  },
});
