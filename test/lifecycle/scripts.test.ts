import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../', import.meta.url).pathname;
const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const pages = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const named = pages.flatMap((page) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/\bnpm run ([a-z][a-z:-]*)/g)].map(
    (found) => [found[1] ?? '', page] as const,
  ),
);

test.each(named)('npm run %s, which %s names, is a script of the package', (script) => {
  expect(manifest).toHaveProperty(['scripts', script]);
});

test('the pages name the scripts that a reader needs', () => {
  expect(new Set(named.map(([script]) => script))).toEqual(
    new Set(['bench', 'build', 'check', 'conformance', 'demo', 'history', 'policy']),
  );
});
