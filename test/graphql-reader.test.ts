import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

import { readGraphql } from '../src/core/graphql-text.ts';
import { graphqlReaderFor } from '../src/graphql-reader.ts';
import { routeOf } from './support/policy.ts';

const auto = routeOf({}, { content: { methods: ['POST'], as: 'auto', maxBytes: 1000 } });
const graphql = routeOf({}, { content: { methods: ['POST'], as: 'graphql', maxBytes: 1000 } });

/** Loads what `serve`, `check` and `explain` are made of, and says which modules of the parser came with it. */
const loading = `
  import { registerHooks } from 'node:module';
  const parsers = [];
  registerHooks({
    load(url, context, next) {
      if (/graphql(?:-text\\.ts|\\/)/.test(url)) parsers.push(url);
      return next(url, context);
    },
  });
  const { createApp } = await import('./src/app.ts');
  const { explainOffline } = await import('./src/offline.ts');
  const before = parsers.length;
  const { graphqlReaderFor } = await import('./src/graphql-reader.ts');
  await graphqlReaderFor([{ content: { methods: ['POST'], as: 'graphql', maxBytes: 1000 } }]);
  console.log(JSON.stringify([typeof createApp, typeof explainOffline, before, parsers.length > 5]));
`;

describe('the parser of GraphQL', () => {
  test('is there where one route reads GraphQL, and nowhere else', async () => {
    expect(await graphqlReaderFor([auto, graphql])).toBe(readGraphql);
    expect(await graphqlReaderFor([routeOf(), auto])).toBeUndefined();
    expect(await graphqlReaderFor([])).toBeUndefined();
  });

  test('is not loaded by a process that does not need it', () => {
    const said = execFileSync(process.execPath, ['--input-type=module', '--eval', loading], {
      cwd: new URL('..', import.meta.url),
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect(JSON.parse(said)).toEqual(['function', 'function', 0, true]);
  });
});
