import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { configChecks } from '../../src/config-checks.ts';
import { explainOffline } from '../../src/offline.ts';
import { issuesOf } from '../support/config-text.ts';

const file = 'config/forecache.yaml';
const shipped = readFileSync(file, 'utf8');
const examples = readFileSync('docs/cli.md', 'utf8').match(/^ {2}forecache .*/gm) ?? [];

/** Of the shipped file; other examples are of a tunnel, of GraphQL and of honour routes, which it has not. */
const urls = examples.flatMap(
  (example) => /'(\/(?:weather|archive|geocoding|events)\/[^']*)'/.exec(example)?.slice(1) ?? [],
);
const warmed = examples.filter((example) => example.includes(' warm --route '));

describe('an example of docs/cli.md', () => {
  test('is of the shipped file in each group', () => {
    expect(urls.length).toBeGreaterThan(3);
    expect(warmed.length).toBeGreaterThan(2);
    expect(examples.join('\n')).not.toMatch(/'\/(?!weather|archive|geocoding|events|honour|graphql)/);
  });

  test.each(urls)('with %s has a cached answer', async (url) => {
    const key: unknown = expect.stringContaining('|');
    expect(await explainOffline(file, {}, { url })).toMatchObject({ kind: 'explained', explanation: { key } });
  });

  test.each(warmed)('warms: %s', (example) => {
    const route = /--route (\S+)/.exec(example)?.[1] ?? '';
    const values = [...example.matchAll(/--with '?([^=\s]+)=([^\s']+)/g)].map(([, name = '', value = '']) => [
      name,
      value,
    ]);
    const job = { route, every: '1h', with: Object.fromEntries(values) };
    expect(issuesOf(`${shipped}\nwarm: { jobs: [${JSON.stringify(job)}] }\n`, {}, configChecks)).toEqual([]);
  });
});
