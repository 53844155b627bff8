import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('docs/http-caching.md names each table of cases, and no other', () => {
  const page = readFileSync(`${root}docs/http-caching.md`, 'utf8');
  const named = [...page.matchAll(/`([a-z-]+\.test\.ts)` \|$/gm)].map((match) => match[1] ?? '');
  const tables = readdirSync(`${root}test/http-caching`).filter((name) => name !== 'documentation.test.ts');
  expect(new Set(named)).toEqual(new Set(tables));
});
