import js from '@eslint/js';
import hooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

const HTML = 'Text is set as text: what is shown was written by others.';

export default tseslint.config(
  { ignores: ['node_modules', 'lib', 'build', '**/*.mjs', '*.config.mts'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  { languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } } },
  {
    plugins: { 'react-hooks': hooks },
    rules: {
      'react-hooks/rules-of-hooks': 'error',
      'react-hooks/exhaustive-deps': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'no-restricted-syntax': [
        'error',
        { selector: "MemberExpression[property.name='innerHTML']", message: HTML },
        { selector: "MemberExpression[property.name='outerHTML']", message: HTML },
        { selector: "CallExpression[callee.property.name='insertAdjacentHTML']", message: HTML },
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: HTML },
      ],
    },
  },
);
