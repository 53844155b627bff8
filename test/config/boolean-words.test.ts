import { describe, expect, test } from 'vitest';
import { configOf, issuesOf } from '../support/config-text.ts';

const fileWith = (rule: string): string => `upstreams: { api: { origin: https://api.test } }
routes:
  - { name: one, match: /one, upstream: api, ttl: 1h, query: { aqi: ${rule} } }
`;

describe('the words for true and false', () => {
  test('are those of upstream, also in the default', () => {
    const rule = configOf(fileWith('{ type: boolean, as: [yes, no], default: false }')).routes[0]?.params.get('aqi');
    expect(rule).toMatchObject({ kind: { type: 'boolean', words: ['yes', 'no'] }, default: 'no' });
    expect(configOf(fileWith('{ type: boolean, as: [1, 0] }')).routes[0]?.params.get('aqi')?.kind).toEqual({
      type: 'boolean',
      words: ['1', '0'],
    });
  });

  test.each([
    ['[no, yes]', 'needs the word for true first, then the one for false'],
    ['[y, Y]', 'has one word for true and for false'],
    ['[yes]', 'needs two words, for true and for false'],
    ['[yes, no, maybe]', 'has at most 2 values, given 3'],
    ['yes', 'expected a list, given "yes"'],
  ])('cannot be %s', (words, message) => {
    expect(issuesOf(fileWith(`{ type: boolean, as: ${words} }`)).join('\n')).toContain(
      `routes[0].query.aqi.as: ${message}`,
    );
  });
});
