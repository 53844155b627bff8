import { describe, expect, test } from 'vitest';
import { buildRouteTable, matchRoute, routeByName, type RouteTable } from '../../src/core/route-table.ts';
import type { Route } from '../../src/core/route.ts';
import { routeOf } from '../support/policy.ts';
import { decimal, exact, folded, integer, ruleOf, rulesOf, tableOf } from '../support/routes.ts';

function route(name: string, match: string, overrides: Partial<Route> = {}): Route {
  return routeOf({}, { name, match, ...overrides });
}

function found(table: RouteTable, path: string, host = '', listener = 'default'): string | undefined {
  return matchRoute(table, { path, host, listener })?.route.name;
}

function issuesOf(...routes: readonly Route[]): readonly string[] {
  const table = buildRouteTable(routes);
  return table.ok ? [] : table.error.map((issue) => `${issue.route}: ${issue.message}`);
}

describe('matching', () => {
  test('takes the most specific route, in whatever order they stand', () => {
    const routes = [
      route('any', '/*'),
      route('wildcard', '/weather/*'),
      route('named', '/weather/:what'),
      route('suffix', '/weather/:what.json'),
      route('literal', '/weather/forecast'),
      route('deep', '/weather/:what/hourly'),
    ];
    for (const table of [tableOf(...routes), tableOf(...routes.toReversed())]) {
      expect(found(table, '/weather/forecast')).toBe('literal');
      expect(found(table, '/weather/other')).toBe('named');
      expect(found(table, '/weather/other.json')).toBe('suffix');
      expect(found(table, '/weather/forecast/hourly')).toBe('deep');
      expect(found(table, '/weather/forecast/daily')).toBe('wildcard');
      expect(found(table, '/weather/')).toBe('wildcard');
      expect(found(table, '/weather')).toBe('any');
      expect(found(table, '/')).toBe('any');
    }
  });

  test('goes on to a less specific route where a more specific one does not match', () => {
    const table = tableOf(route('number', '/a/:id(\\d+)'), route('name', '/a/:name'));
    expect(found(table, '/a/12')).toBe('number');
    expect(found(table, '/a/x1')).toBe('name');
  });

  test('compares bytes: nothing is decoded and no case is folded', () => {
    const table = tableOf(route('literal', '/weather/forecast'), route('named', '/w/:x'));
    expect(found(table, '/weather/%66orecast')).toBeUndefined();
    expect(found(table, '/weather%2Fforecast')).toBeUndefined();
    expect(found(table, '/Weather/forecast')).toBeUndefined();
    expect(found(table, '/weather/forecast/')).toBeUndefined();
    expect(found(table, '/weather//forecast')).toBeUndefined();
    expect(found(table, '/weather/forecast;v=1')).toBeUndefined();
    const match = matchRoute(table, { path: '/w/AC%2FDC%252f', host: '', listener: 'default' });
    expect(match?.groups.get('x')).toBe('AC%2FDC%252f');
  });

  test('gives groups by name and by number, those that took no part left out', () => {
    const table = tableOf(route('r', '/:a/x/*'), route('o', '/o{/:b}?'), route('p', '/__proto__/:__proto__'));
    const groups = (path: string): readonly (readonly string[])[] => [
      ...(matchRoute(table, { path, host: '', listener: 'default' })?.groups ?? []),
    ];
    expect(groups('/1/x/2/3')).toEqual([
      ['a', '1'],
      ['0', '2/3'],
    ]);
    expect(groups('/o')).toEqual([]);
    expect(groups('/o/1')).toEqual([['b', '1']]);
    expect(groups('/__proto__/1')).toEqual([['__proto__', '1']]);
  });

  test('prefers host and listener, then host, then listener, then neither', () => {
    const table = tableOf(
      route('neither', '/a'),
      route('listener', '/*', { listener: 'two' }),
      route('host', '/*', { host: 'api.example' }),
      route('both', '/:x', { host: 'api.example', listener: 'two' }),
    );
    expect(found(table, '/a')).toBe('neither');
    expect(found(table, '/a', 'other.example', 'two')).toBe('listener');
    expect(found(table, '/a', 'api.example')).toBe('host');
    expect(found(table, '/a', 'api.example', 'two')).toBe('both');
    expect(found(table, '/a/b', 'api.example', 'two')).toBe('host');
    expect(found(table, '/b', 'other.example')).toBeUndefined();
    expect([...table.hosts]).toEqual(['api.example']);
  });

  test('does not take a name that objects have for a host or a path', () => {
    const table = tableOf(route('r', '/a', { host: 'h' }));
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(found(table, `/${name}`, name, name)).toBeUndefined();
    }
  });

  test('finds routes by name', () => {
    const table = tableOf(route('r', '/a'));
    expect(routeByName(table, 'r')?.match).toBe('/a');
    expect(routeByName(table, 'R')).toBeUndefined();
  });
});

describe('ambiguous routes', () => {
  test.for([
    ['/a', '/a'],
    ['/a/:x', '/a/:y'],
    ['/a/*', '/a/*'],
    ['/:x/a/*', '/:y/a/*'],
    ['/*/a/*', '/*/b/*'],
    ['/a{/:x}?', '/a'],
    ['/a{/:x}?', '/a/:y'],
    ['/a/(b|c)', '/a/(c|d)'],
    ['/a/:x(b|c)/*', '/a/:x(c|d)/*'],
    ['/*/:x(b|c)', '/*/:x(c|d)'],
    ['/*/:x(b|c)/*', '/*/:x(d|e)/*'],
    ['/v:n(\\d+)/x', '/v:m([0-9a-f]+)/x'],
    // Repeated without a slash between: ab is both.
    ['/a{:x(a|b)}+', '/a{:x(ab)}+'],
  ])('%s and %s are refused', ([a = '', b = '']) => {
    expect(buildRouteTable([route('one', a), route('two', b)])).toMatchObject({
      ok: false,
      error: [{ route: 'two', other: 'one' }],
    });
  });

  test.for([
    ['/a', '/b'],
    ['/a/:x', '/b/:x'],
    ['/:x/a', '/:x/b'],
    ['/a/(b|c)', '/a/(d|e)'],
    ['/a/:id(\\d+)', '/a/:name([a-z]+)'],
    ['/x/:k(venues|attractions)/*', '/x/:k(genres|types)/*'],
    ['/x/:k(venues|attractions)/:id/*', '/x/:k(genres|types)/:id/*'],
    ['/*/:k(venues|attractions)', '/*/:k(genres|types)'],
    ['/*/a-:k(b|c).json', '/*/a-:k(d|e).json'],
    ['/v:n(\\d+)/x', '/v:m([a-z]+)/x'],
    ['/a/:x', '/:y/b'],
    ['/a/:x.json', '/a/:x'],
  ])('%s and %s stand together', ([a = '', b = '']) => {
    expect(issuesOf(route('one', a), route('two', b))).toEqual([]);
  });

  test('are told apart by host or listener', () => {
    expect(
      issuesOf(route('one', '/a'), route('two', '/a', { host: 'h' }), route('three', '/a', { listener: 'l' })),
    ).toEqual([]);
    expect(issuesOf(route('one', '/a', { host: 'h' }), route('two', '/a', { host: 'h' }))).toHaveLength(1);
  });
});

describe('a route that cannot work', () => {
  test('has all its issues told at once', () => {
    const issues = issuesOf(
      route('a', '/a/:x', {
        forward: '/b/{y}',
        tags: ['t:{z}', 't:{'],
        pathParams: rulesOf(ruleOf('w', integer)),
        params: rulesOf(ruleOf('n', integer, { default: 'x' }), ruleOf('m', integer, { aliases: ['n'] })),
        ignore: ['m'],
        secret: ['n'],
        maxKeyBytes: 10,
      }),
      route('a', '/:x('),
      route('b', 'b'),
    );
    expect(issues).toEqual([
      'a: forward: match has no group "y"',
      'a: pathParams: match has no group "w"',
      'a: tag "t:{z}": no parameter or group "z"',
      'a: tag "t:{": braces do not pair',
      'a: parameter "n": the default must be an integer',
      'a: query: "n" is a parameter and secret, so it never gets upstream',
      'a: query: "m" is a parameter and ignored',
      'a: maxKeyBytes must be at least 96',
      'a: the name is given twice',
      'a: match: is not a URLPattern pathname',
      'b: match: must begin with /',
    ]);
  });

  test('uses one name for two parameters', () => {
    const params = rulesOf(ruleOf('a', integer), ruleOf('b', integer, { aliases: ['a'] }));
    expect(issuesOf(route('r', '/a', { params }))).toEqual([
      'r: query: the name "a" stands for more than one parameter',
    ]);
  });

  test.for([
    ['v1/x', 'is no path'],
    ['//evil.example/x', 'is no path'],
    ['/a/../b', 'is no path'],
    ['/a?b=c', 'is no path'],
    ['/a b', 'is no path'],
    ['https://evil.example/', 'is no path'],
    ['/{x', 'braces do not pair'],
    ['/}', 'braces do not pair'],
  ] as const)('forwards to %s, which %s', ([forward, why]) => {
    expect(issuesOf(route('r', '/a/:x', { forward })).join()).toContain(why);
  });

  test('has a tag of a name that is a parameter and a group', () => {
    const both = { params: rulesOf(ruleOf('id', folded), ruleOf('n', integer)), tags: ['i:{id}', 'n:{n}'] };
    expect(issuesOf(route('r', '/a/:id', both))).toEqual([
      'r: tags: {id} is a query parameter and a group of match; rename the group',
    ]);
    expect(issuesOf(route('r', '/a/:id', { ...both, tags: ['n:{n}'] }))).toEqual([]);
  });

  test('has a tag of a group that its forward leaves out, which is in no key', () => {
    const tagged = { tags: ['tenant:{tenant}', 'place:{place}'] };
    expect(issuesOf(route('r', '/a/:tenant/:place', { ...tagged, forward: '/b/{place}' }))).toEqual([
      'r: tags: {tenant} is not in forward, so that requests which differ in it share one stored response; leave the tag out',
    ]);
    expect(issuesOf(route('r', '/a/:tenant/:place', { ...tagged, forward: '/b/{tenant}/{place}' }))).toEqual([]);
    expect(issuesOf(route('r', '/a/:tenant/:place', tagged))).toEqual([]);
  });

  test('has a rule for a group of several segments', () => {
    const pathParams = rulesOf(ruleOf('0', folded));
    expect(issuesOf(route('r', '/a/*', { pathParams })).join()).toContain('several segments');
    expect(issuesOf(route('r', '/a/:x+', { pathParams: rulesOf(ruleOf('x', folded)) })).join()).toContain(
      'several segments',
    );
  });
});

describe('a forward template', () => {
  const numbers = rulesOf(ruleOf('x', decimal(2)), ruleOf('y', decimal(2)));

  test.for([
    ['/a/:x/:y', '/b/{x}/{y}', false],
    ['/a/:x/:y', '/b/{y}/{x}', false],
    ['/a/:x,:y', '/b/{x},{y}', false],
    ['/a/:x/*', '/b/{0}/{x}', false],
    ['/a/*', '/{0}', false],
    ['/a/*', '/fixed', false],
    ['/a/:x/:y', '/b/{x}-{y}', true],
    ['/a/:x/:y', '/b/{x}{y}', true],
    ['/a/:y,:x', '/b/{x},{y}', true],
    ['/a/*/b/*', '/c/{0}/d/{1}', true],
    // `/a-b-c` and `/a/-b-c`.
    ['/a/:x?-:y', '/b/{x}-{y}', true],
  ] as const)('%s to %s loses what the groups were: %s', ([match, forward, refusedThen]) => {
    expect(issuesOf(route('r', match, { forward })).length > 0).toBe(refusedThen);
  });

  test('may put numbers next to each other where text could not stand', () => {
    expect(issuesOf(route('r', '/a/:x/:y', { forward: '/b/{x},{y}', pathParams: numbers }))).toEqual([]);
    expect(issuesOf(route('r', '/a/:x/:y', { forward: '/b/{x}-{y}', pathParams: numbers }))).toHaveLength(1);
    const one = rulesOf(ruleOf('x', decimal(2)), ruleOf('y', exact));
    expect(issuesOf(route('r', '/a/:x/:y', { forward: '/b/{x},{y}', pathParams: one }))).toEqual([]);
  });
});
