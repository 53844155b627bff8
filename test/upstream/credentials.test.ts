import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { routeOf } from '../support/policy.ts';
import { keyOf, tableOf } from '../support/routes.ts';
import { secretValues } from '../../src/core/secret-values.ts';
import { fieldsWithCredentials, targetWithCredentials } from '../../src/upstream/credentials.ts';

const credentials = {
  query: new Map([['apikey', 'a b&c']]),
  headers: new Map([['x-api-key', 'h']]),
};

describe('the target', () => {
  test.each([
    ['/p', '/p?apikey=a%20b%26c'],
    ['/p?', '/p?apikey=a%20b%26c'],
    ['/p?q=1', '/p?q=1&apikey=a%20b%26c'],
    ['/p?ApiKey=x&q=1&APIKEY=y', '/p?q=1&apikey=a%20b%26c'],
    ['/p?apikey', '/p?apikey=a%20b%26c'],
    ['/p?%61pi%6Bey=x', '/p?apikey=a%20b%26c'],
    ['/p?+apikey%C2%A0=x', '/p?apikey=a%20b%26c'],
    ['/p?q=apikey=x', '/p?q=apikey=x&apikey=a%20b%26c'],
    ['/p?%zz=1&%ff=2', '/p?%zz=1&%ff=2&apikey=a%20b%26c'],
  ])('%s goes upstream as %s', (target, sent) => {
    expect(targetWithCredentials(target, credentials)).toBe(sent);
  });

  test('without credentials in the query is not touched', () => {
    const none = { query: new Map<string, string>(), headers: new Map<string, string>() };
    fc.assert(
      fc.property(fc.string(), (query) => {
        expect(targetWithCredentials(`/p?${query}`, none)).toBe(`/p?${query}`);
      }),
      { seed: 3 },
    );
  });

  test('with an empty credential loses the client’s own and gets none', () => {
    const empty = { query: new Map([['apikey', '']]), headers: new Map<string, string>() };
    expect(targetWithCredentials('/p?APIKEY=x', empty)).toBe('/p');
    expect(targetWithCredentials('/p?APIKEY=x&q=1', empty)).toBe('/p?q=1');
  });
});

test('a call leaves out no parameter that its key has', () => {
  const table = tableOf(routeOf({}, { match: '/p', secret: ['apikey'] }));
  const piece = fc.constantFrom(
    'apikey',
    'API',
    'key',
    '%61',
    'x',
    ' ',
    '+',
    '%20',
    '%09',
    '%C2%A0',
    '%FF',
    '%00',
    '.',
  );
  const own = { ...credentials, query: new Map([['apikey', '']]) };
  const query = fc.array(piece, { maxLength: 6 }).map((pieces) => `${pieces.join('').replaceAll(' ', '+')}=1`);
  fc.assert(
    fc.property(query, (raw) => {
      const result = keyOf(table, `/p?${raw}`);
      if (!result.ok) return;
      const { target } = result.value.canonical;
      expect(targetWithCredentials(target, own)).toBe(target);
      // And the key has no parameter that a call with the raw query would leave out.
      expect(target === '/p').toBe(targetWithCredentials(`/p?${raw}`, own) === '/p');
    }),
    { seed: 5, numRuns: 2000 },
  );
});

test('fields of a credential’s name are replaced', () => {
  expect(
    fieldsWithCredentials(
      [
        ['x-api-key', 'theirs'],
        ['accept', '*/*'],
        ['x-api-key', 'again'],
      ],
      credentials,
    ),
  ).toEqual([
    ['accept', '*/*'],
    ['x-api-key', 'h'],
  ]);
});

test('a token is secret without its scheme, too', () => {
  const headers = new Map([['authorization', 'Bearer tok']]);
  expect(secretValues({ query: new Map([['k', 'q']]), headers })).toEqual(['q', 'Bearer tok', 'tok']);
});

test.each(['x-api-key', 'x_api_key', 'x-api_key', 'x.api.key'])('a line of the name %s is dropped', (name) => {
  const lines = [[name, 'theirs'] as const, ['x_api', 'kept'] as const, ['api_key', 'kept'] as const];
  expect(fieldsWithCredentials(lines, credentials)).toEqual([...lines.slice(1), ['x-api-key', 'h']]);
  const underscored = { ...credentials, headers: new Map([['x_api_key', 'h']]) };
  expect(fieldsWithCredentials(lines, underscored)).toEqual([...lines.slice(1), ['x_api_key', 'h']]);
  const empty = { ...credentials, headers: new Map([['x-api-key', '']]) };
  expect(fieldsWithCredentials(lines, empty)).toEqual(lines.slice(1));
});
