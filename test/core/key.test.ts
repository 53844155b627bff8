import { describe, expect, test } from 'vitest';
import { deriveKey, rawTarget } from '../../src/core/key.ts';
import type { ParamRule } from '../../src/core/params.ts';
import { buildRouteTable, matchRoute } from '../../src/core/route-table.ts';
import type { Route } from '../../src/core/route.ts';
import { honourRoute, routeOf } from '../support/policy.ts';
import { decimal, exact, folded, integer, keyed, keyOf, ruleOf, rulesOf, sha256, tableOf } from '../support/routes.ts';

const forecastRules: readonly ParamRule[] = [
  ruleOf('location', folded, { required: true, aliases: ['city'] }),
  ruleOf('days', { type: 'integer', min: 1, max: 16 }, { default: '7' }),
  ruleOf('units', { type: 'enum', values: ['metric', 'imperial'], fold: false }, { default: 'metric' }),
];

function forecast(overrides: Partial<Route> = {}): Route {
  const rules = { params: rulesOf(...forecastRules), unknownQuery: 'drop', tags: ['location:{location}'] } as const;
  return routeOf({}, { name: 'forecast', match: '/weather/forecast', forward: '/v1/forecast', ...rules, ...overrides });
}

function strictRoute(...rules: readonly ParamRule[]): Route {
  const names = { ignore: ['c'], secret: ['d'], unknownQuery: 'reject' } as const;
  return routeOf({}, { match: '/a', params: rulesOf(...rules), ...names });
}

function problemOf(route: Route, raw: string): unknown {
  const result = keyOf(tableOf(route), raw);
  return result.ok ? undefined : result.error;
}

describe('a key', () => {
  test('can be read', () => {
    const request = keyed(tableOf(forecast()), '/weather/forecast?location=New+York');
    expect(request.key).toBe('forecast|/v1/forecast?days=7&location=new%20york&units=metric');
    expect(request.canonical).toEqual({
      upstream: 'weather',
      method: 'GET',
      target: '/v1/forecast?days=7&location=new%20york&units=metric',
      fields: [],
    });
    expect(request.url).toBe('/weather/forecast?days=7&location=new%20york&units=metric');
    expect(request.tags).toEqual(['route:forecast', 'upstream:weather', 'location:new york']);
  });

  test('is the same for all spellings', () => {
    const table = tableOf(forecast());
    const keys = [
      'location=New%20York',
      'location=new+york&days=7',
      'units=metric&days=%2B07&city=NEW%20%20YORK',
      'location=%6eew%C2%A0york&x=1&apikey=2',
      'location=New+York&city=new%20york&days=7&days=007',
      '&&location=new%20york&',
      'location=new%20york&__proto__=1&constructor=2',
    ].map((query) => keyed(table, `/weather/forecast?${query}`).key);
    expect(new Set(keys).size).toBe(1);
  });

  test('differs between routes that ask upstream the same', () => {
    const table = tableOf(
      routeOf({}, { name: 'a', match: '/a', forward: '/x' }),
      routeOf({}, { name: 'b', match: '/b', forward: '/x' }),
    );
    expect(keyed(table, '/a').key).toBe('a|/x');
    expect(keyed(table, '/b').key).toBe('b|/x');
  });

  test('holds the fields that the route names, an absent one other than an empty one', () => {
    const table = tableOf(forecast({ headers: ['X-Tenant', 'accept'] }));
    const key = (fields: readonly (readonly [string, string])[]): string =>
      keyed(table, '/weather/forecast?location=a', fields).key;
    const base = 'forecast|/v1/forecast?days=7&location=a&units=metric';
    expect(key([])).toBe(base);
    expect(key([['accept', '']])).toBe(`${base}|accept=`);
    expect(
      key([
        ['x-tenant', 'b|accept=c'],
        ['accept', 'text/html'],
      ]),
    ).toBe(`${base}|accept=text/html|x-tenant=b%7Caccept%3Dc`);
    expect(
      key([
        ['accept', 'a'],
        ['user-agent', 'x'],
        ['accept', 'b'],
      ]),
    ).toBe(key([['accept', 'a, b']]));
  });

  test('is told apart by its values alone where the request has none of the fields that are keyed', () => {
    const table = tableOf(forecast({ headers: ['accept'] }));
    const values = (...fields: readonly (readonly [string, string])[]) =>
      keyed(table, '/weather/forecast?location=a', fields).values;
    expect(values()).toBeDefined();
    expect(values(['user-agent', 'x'])).toBeDefined();
    expect(values(['accept', ''])).toBeUndefined();
    expect(values(['accept', 'text/html'])).toBeUndefined();
  });

  test('is told apart by its path too where its values make it', () => {
    const table = tableOf(routeOf({}, { name: 'p', match: '/a/:x', forward: '/v1/{x}', unknownQuery: 'drop' }));
    expect(keyed(table, '/a/1').values).toMatchObject({ path: '/v1/1' });
    expect(keyed(table, '/a/2').values).toMatchObject({ path: '/v1/2' });
  });

  test('sends upstream exactly the fields that are keyed', () => {
    const table = tableOf(forecast({ headers: ['cookie', 'accept'] }));
    const fields = [
      ['cookie', 'a=1'],
      ['x', 'y'],
      ['cookie', 'b=2'],
      ['accept', 'text/html'],
    ] as const;
    expect(keyed(table, '/weather/forecast?location=a', fields).canonical.fields).toEqual([
      ['accept', 'text/html'],
      ['cookie', 'a=1; b=2'],
    ]);
  });

  test('is the same without Accept and with one that any answer is good for, as each call says it then', () => {
    const table = tableOf(forecast({ headers: ['accept'] }));
    const keyOfAccept = (...values: readonly string[]): string =>
      keyed(
        table,
        '/weather/forecast?location=a',
        values.map((value) => ['accept', value] as const),
      ).key;
    expect(keyOfAccept('*/*')).toBe(keyOfAccept());
    const others = [['*/*', 'text/html'], ['*/*;q=0.5'], [''], ['text/html']].map((values) => keyOfAccept(...values));
    expect(new Set([keyOfAccept(), ...others]).size).toBe(5);
  });

  test('is cut at its bound, readable in front and with a digest of the whole behind', () => {
    const table = tableOf(forecast({ maxKeyBytes: 120 }));
    const location = 'x'.repeat(200);
    const { key } = keyed(table, `/weather/forecast?location=${location}`);
    expect(key).toHaveLength(120);
    expect(key).toMatch(/^forecast\|\/v1\/forecast\?days=7&location=x+#[0-9a-f]{64}$/);
    expect(key.slice(-64)).toBe(sha256(`forecast|/v1/forecast?days=7&location=${location}&units=metric`));
    expect(keyed(table, `/weather/forecast?location=${location}x`).key).not.toBe(key);
  });

  test('that is cut tells requests apart by all that there was of it', () => {
    const table = tableOf(forecast({ maxKeyBytes: 120 }));
    const location = 'x'.repeat(7000);
    const keys = [location, `${location}y`, `${location}z`].map(
      (text) => keyed(table, `/weather/forecast?location=${text}`).key,
    );
    expect(new Set(keys).size).toBe(3);
  });

  test('just at its bound is whole, one byte past it is cut', () => {
    const whole = 'forecast|/v1/forecast?days=7&location=&units=metric'.length;
    const table = tableOf(forecast({ maxKeyBytes: 100 }));
    const at = keyed(table, `/weather/forecast?location=${'x'.repeat(100 - whole)}`).key;
    expect([at.length, at.includes('#')]).toEqual([100, false]);
    const past = keyed(table, `/weather/forecast?location=${'x'.repeat(101 - whole)}`).key;
    expect([past.length, past.includes('#')]).toEqual([100, true]);
  });
});

describe('a secret', () => {
  test('name is neither keyed nor forwarded nor shown, whatever its case and spelling', () => {
    const table = tableOf(routeOf({}, { match: '/a', secret: ['apikey'] }));
    for (const name of ['apikey', 'APIKEY', 'ApiKey', '%61pikey', 'apike%79', 'apikey%']) {
      const result = keyOf(table, `/a?x=1&${name}=HUSH`);
      expect(JSON.stringify([result, result.ok && result.value.steps()])).not.toContain('HUSH');
    }
    for (const name of ['apikey', 'APIKEY', '%61pikey', 'apike%79']) {
      expect(keyed(table, `/a?x=1&${name}=HUSH`).key).toBe('forecast|/a?x=1');
    }
  });

  test.for(['+apikey', 'apikey+', '%20%09ApiKey', 'apikey%C2%A0', '%E2%80%83apikey'])(
    'name with white space around it, %s, is one as well',
    (name) => {
      const kept = tableOf(routeOf({}, { match: '/a', secret: [' ApiKey'] }));
      const request = keyed(kept, `/a?x=1&${name}=HUSH`);
      expect(request.key).toBe('forecast|/a?x=1');
      expect(request.steps()).toContainEqual(expect.objectContaining({ before: '***', rule: 'secret, removed' }));
      expect(target(routeOf({}, { match: '/a', secret: ['apikey'] }), '/a', `x=1;${name}=HUSH`)).toEqual({
        ok: true,
        value: '/a?x=1',
      });
    },
  );

  test('name cannot be a parameter too, whatever the white space around it', () => {
    const params = rulesOf(ruleOf('apikey ', exact));
    expect(buildRouteTable([routeOf({}, { params, secret: ['apikey'] })])).toMatchObject({ ok: false });
  });

  test('parameter is forwarded, and a digest everywhere else', () => {
    const params = rulesOf(ruleOf('token', exact, { secret: true }), ruleOf('q', folded));
    const table = tableOf(routeOf({}, { match: '/a', params, tags: ['t:{token}'] }));
    const request = keyed(table, '/a?token=HUSH%20x&q=1');
    const digest = `sha256-${sha256('token=HUSH x').slice(0, 32)}`;
    expect(request.canonical.target).toBe('/a?q=1&token=HUSH%20x');
    expect(request.key).toBe(`forecast|/a?q=1&token=${digest}`);
    expect(request.url).toBe(`/a?q=1&token=${digest}`);
    expect(request.tags).toContain(`t:${digest}`);
    expect(JSON.stringify(request.steps())).not.toContain('HUSH');
    expect(keyed(table, '/a?token=hush%20x&q=1').key).not.toBe(request.key);
  });

  test('group of the path likewise', () => {
    const pathParams = rulesOf(ruleOf('token', exact, { secret: true }));
    const table = tableOf(routeOf({}, { match: '/s/:token/x', pathParams }));
    const request = keyed(table, '/s/HUSH/x');
    expect(request.canonical.target).toBe('/s/HUSH/x');
    expect(request.key).toBe(`forecast|/s/sha256-${sha256('token=HUSH').slice(0, 32)}/x`);
    expect(JSON.stringify([request.key, request.url, request.tags, request.steps()])).not.toContain('HUSH');
  });

  test.for([
    'authorization',
    'cookie',
    'proxy-authorization',
    'x-api-key',
    'x-auth-token',
    'apikey',
    'x-client-secret',
    'x-password',
    'x-session-id',
    'x-signature',
    'x-amz-credential',
  ])('field %s is keyed as a digest', (name) => {
    const table = tableOf(forecast({ headers: [name] }));
    const request = keyed(table, '/weather/forecast?location=a', [[name, 'HUSH']]);
    expect(request.key).toMatch(new RegExp(`\\|${name}=sha256-[0-9a-f]{32}$`));
    expect(request.canonical.fields).toEqual([[name, 'HUSH']]);
    expect(JSON.stringify([request.key, request.url, request.tags, request.steps()])).not.toContain('HUSH');
  });
});

describe('parameters without a rule', () => {
  const kept = tableOf(routeOf({}, { name: 'k', match: '/k', params: rulesOf(ruleOf('n', integer)), ignore: ['_'] }));

  test('are kept, spelt in one way, sorted by name, repeats in their order', () => {
    expect(keyed(kept, '/k?b=2&a=%7e&n=07&b=1&a%5b%5D=+&_=9').canonical.target).toBe('/k?a=~&a%5B%5D=%20&b=2&b=1&n=7');
  });

  test('keep all their bytes apart: broken UTF-8, absent values, separators', () => {
    const targets = [
      'a',
      'a=',
      '=a',
      'a=%FF',
      'a=%FE',
      'a=%EF%BF%BD',
      'a=%C0%AF',
      'a=/',
      'a=%00',
      'a=1;b=2',
      'a=1&b=2',
      '%FF=a',
      '%FE=a',
      'a=e%CC%81',
      'a=%C3%A9',
      '__proto__=1',
      '__proto__=1&__proto__=2',
      'a=%3D',
      'a=%26',
      'a=%2520',
      'a=%20',
    ];
    const keys = new Set(targets.map((query) => keyed(kept, `/k?${query}`).key));
    expect(keys.size).toBe(targets.length);
  });

  test('cannot be cloaked behind a semicolon', () => {
    const { target } = keyed(kept, '/k?a=1;n=9&n=2').canonical;
    expect(target).toBe('/k?a=1%3Bn%3D9&n=2');
  });

  test('are dropped, or refused by name, where the route says so', () => {
    expect(keyed(tableOf(forecast()), '/weather/forecast?location=a&%FF=1&z').canonical.target).not.toContain('z');
    const strict = forecast({ unknownQuery: 'reject', ignore: ['_'], secret: ['key'] });
    expect(problemOf(strict, '/weather/forecast?location=a&_=1&KEY=2')).toBeUndefined();
    expect(problemOf(strict, '/weather/forecast?location=a&Location=b')).toMatchObject({
      status: 400,
      code: 'parameter-unknown',
      extra: { parameter: 'Location' },
    });
    expect(problemOf(strict, '/weather/forecast?location=a&%1B%5B31m%22%C3%A9=b')).toMatchObject({
      detail: 'Parameter "?[31m??" is not known here; known: days, location, units.',
    });
  });

  test('of a strict route are named where another one is refused, without those that are secret, and not all of many', () => {
    const rules = Array.from({ length: 22 }, (_, index) => ruleOf(`p${index + 10}`, exact));
    const hidden = [ruleOf('a', exact, { secret: true }), ruleOf('b'.repeat(65), exact)];
    const named = rules.slice(0, 20).map(({ name }) => name);
    expect(problemOf(strictRoute(...hidden, ...rules), '/a?x')).toMatchObject({
      detail: `Parameter "x" is not known here; known: ${named.join(', ')} and 2 more.`,
    });
    expect(problemOf(strictRoute(...hidden), '/a?x')).toMatchObject({ detail: 'Parameter "x" is not known here.' });
  });

  test('leave no question mark behind when none is left', () => {
    expect(keyed(kept, '/k?').canonical.target).toBe('/k');
    expect(keyed(kept, '/k?_=1').canonical.target).toBe('/k');
    expect(keyed(kept, '/k').key).toBe('k|/k');
  });
});

describe('a request that is refused', () => {
  test.for([
    ['location=a&days=17', 'parameter-invalid', 'days', 'Parameter "days" must be an integer from 1 to 16.'],
    ['location=a&days=', 'parameter-invalid', 'days', 'Parameter "days" must be an integer from 1 to 16.'],
    ['location=a&days', 'parameter-invalid', 'days', 'Parameter "days" must be an integer from 1 to 16.'],
    ['location=%FF', 'parameter-invalid', 'location', 'Parameter "location" is not UTF-8 text.'],
    ['location=%C0%AE', 'parameter-invalid', 'location', 'Parameter "location" is not UTF-8 text.'],
    ['location=%ED%A0%80', 'parameter-invalid', 'location', 'Parameter "location" is not UTF-8 text.'],
    ['location=a%00', 'parameter-invalid', 'location', 'Parameter "location" must not hold control characters.'],
    ['days=1', 'parameter-missing', 'location', 'Parameter "location" is required.'],
    [
      'location=a&location=b',
      'parameter-repeated',
      'location',
      'Parameter "location" is given more than once with different values.',
    ],
    [
      'location=a&city=b',
      'parameter-repeated',
      'location',
      'Parameter "location" is given more than once with different values.',
    ],
    ['location=a&location=%FF', 'parameter-invalid', 'location', 'Parameter "location" is not UTF-8 text.'],
    ['location=a;days=3&days=4;5', 'parameter-invalid', 'days', 'Parameter "days" must be an integer from 1 to 16.'],
  ] as const)('for %s gets a 400 %s', ([query, code, parameter, detail]) => {
    expect(problemOf(forecast(), `/weather/forecast?${query}`)).toEqual({
      status: 400,
      code,
      title: 'Request parameter not accepted',
      detail,
      extra: { parameter },
    });
  });

  test.for(['location=%', 'location=%zz', 'x=%4&location=a', '%=1&location=a'])('for a broken escape: %s', (query) => {
    expect(problemOf(forecast(), `/weather/forecast?${query}`)).toMatchObject({ status: 400, code: 'target-invalid' });
  });
});

describe('a path', () => {
  test('is forwarded byte for byte where nothing else is said', () => {
    const table = tableOf(routeOf({}, { name: 'p', match: '/a/*' }));
    for (const path of [
      '/a/AC%2FDC',
      '/a/AC%2fDC',
      '/a/AC%252FDC',
      '/a//b/',
      '/a/x;v=1',
      '/a/%41',
      "/a/!$&'()*+,=:@",
    ]) {
      expect(keyed(table, path)).toMatchObject({ key: `p|${path}`, canonical: { target: path }, url: path });
    }
  });

  test('is made from a template with the raw groups', () => {
    const table = tableOf(routeOf({}, { name: 'p', match: '/a/:x/*', forward: '/v1/{0}/of/{x}' }));
    expect(keyed(table, '/a/AC%2fDC/b//c').canonical.target).toBe('/v1/b//c/of/AC%2fDC');
  });

  test('has the groups that have a rule replaced where they stand', () => {
    const pathParams = rulesOf(ruleOf('lat', decimal(4, -90, 90)), ruleOf('lon', decimal(4, -180, 180)));
    const table = tableOf(
      routeOf({}, { name: 'p', match: '/points/:lat,:lon{/extra}?', pathParams, tags: ['{lat} {lon}'] }),
    );
    const request = keyed(table, '/points/38.88940001,%2D77.03520/extra');
    expect(request.canonical.target).toBe('/points/38.8894,-77.0352/extra');
    expect(request.url).toBe('/points/38.8894,-77.0352/extra');
    expect(request.tags).toContain('38.8894 -77.0352');
    expect(keyOf(table, '/points/91,0')).toMatchObject({
      error: { code: 'parameter-invalid', extra: { parameter: 'lat' } },
    });
    expect(keyOf(table, '/points/%FF,0')).toMatchObject({ error: { code: 'parameter-invalid' } });
  });

  test('keeps a decoded slash within its segment', () => {
    const table = tableOf(
      routeOf({}, { name: 'p', match: '/artists/:name', pathParams: rulesOf(ruleOf('name', folded)) }),
    );
    expect(keyed(table, '/artists/AC%2FDC').canonical.target).toBe('/artists/ac%2Fdc');
    expect(keyed(table, '/artists/AC%252FDC').canonical.target).toBe('/artists/ac%252fdc');
    expect(keyed(table, '/artists/A+B').canonical.target).toBe('/artists/a%2Bb');
  });

  test.for([
    // What ends a group within its value, as a client's encoder wrote it there.
    ['/at/:x,:y', undefined, '/at/A%2CB,c', '/at/a%2Cb,c'],
    ['/at/:x,:y', undefined, '/at/a,B%2Cc', '/at/a,b,c'],
    ['/at/:x,:y', '/v1/{x},{y}', '/at/A%2CB,c', '/v1/a%2Cb,c'],
    ['/at/:x--:y', undefined, '/at/A%2D%2DB--c', '/at/a%2D%2Db--c'],
    ['/at/:x--:y', undefined, '/at/A%2D--c', '/at/a%2D--c'],
    ['/at/:x--:y', undefined, '/at/A-B--c', '/at/a-b--c'],
    ['/at/:x{.json}?/:y?', undefined, '/at/A%2Ejson/B', '/at/a%2Ejson/b'],
    ['/at/:x{.json}?/:y?', undefined, '/at/V1.2.json', '/at/v1.2.json'],
    ['/at{/:x@}?:y', undefined, '/at/A%40B@c', '/at/a%40b@c'],
    ['/at/:x{,:y}?', undefined, '/at/A%2CB', '/at/a%2Cb'],
    // Nothing else may follow in the segment.
    ['/at/:x,/:y', undefined, '/at/A%2CB,/c', '/at/a,b,/c'],
    ['/at/:y/:x.json', undefined, '/at/b/A.json.json', '/at/b/a.json.json'],
    ['/at/:x,:y', '/v1/{y}/{x}', '/at/A%2CB,c', '/v1/c/a,b'],
    // Encoded already.
    ['/at/{:x}\u00fc:y', undefined, '/at/A%c3%bc%C3%BCB', '/at/a%C3%BC%C3%BCb'],
  ] as const)('of %s, forwarded as %s, keeps %s apart from what would end its groups elsewhere', (row) => {
    const [match, forward, path, expected] = row;
    const pathParams = rulesOf(ruleOf('x', folded), ruleOf('y', folded));
    const table = tableOf(routeOf({}, { name: 'p', match, forward, pathParams }));
    const request = keyed(table, path);
    expect(request).toMatchObject({ key: `p|${expected}`, canonical: { target: expected } });
    expect(keyed(table, request.url)).toMatchObject({ key: request.key, url: request.url });
  });

  test.for([
    // By the right one of two groups, which has no `_` in it.
    ['/at/:x/:y', '/v1/{x}_{y}', exact, '/at/new_york/07', '/v1/new_york_7'],
    ['/at/:x/:y', '/v1/{x}A{y}', exact, '/at/%c3%a9A/07', '/v1/%C3%A9AA7'],
    // By an expression, and by the first character, which is the group's in any case.
    [String.raw`/:x(\d{4}-\d\d-\d\d)-:y`, undefined, { type: 'date' }, '/2026-11-23-07', '/2026-11-23-7'],
    ['/:x(.+),:y', undefined, exact, '/52.5,%2013.4,07', '/52.5,%2013.4,7'],
    ['/at/:x-:y', undefined, decimal(), '/at/-5.0-07', '/at/-5-7'],
    // Of what is encoded already only that end is.
    ['/at/{:x}A:y', undefined, exact, '/at/b%41%c3%a9A07', '/at/b%41%C3%A9A7'],
    // No path that its expression does not take has another's groups.
    ['/:x([^,]+,?[^,]+),:y', undefined, exact, '/a,b%2cc,07', '/a%2Cb%2Cc,7'],
    ['/:x([a-z,]{1,3}|[^,]+),:y', undefined, exact, '/A%2CB,07', '/A%2CB,7'],
    ['/:x([A%2C]+),:y', undefined, folded, '/A%2CA,07', '/a,a,7'],
  ] as const)('of %s, forwarded as %s, is written as it is where its groups are told apart: %s %s', (row) => {
    const [match, forward, kind, path, expected] = row;
    const pathParams = rulesOf(ruleOf('x', kind), ruleOf('y', integer));
    const request = keyed(tableOf(routeOf({}, { name: 'p', match, forward, pathParams })), path);
    expect(request).toMatchObject({ key: `p|${expected}`, canonical: { target: expected } });
  });

  test('cannot become a dot segment or another host by what is put together', () => {
    const joined = tableOf(routeOf({}, { name: 'p', match: '/p/*', forward: '/{0}' }));
    expect(keyOf(joined, '/p//evil.example/x')).toMatchObject({ ok: false, error: { code: 'target-invalid' } });
    const trimmed = tableOf(routeOf({}, { name: 'p', match: '/p/:x', pathParams: rulesOf(ruleOf('x', folded)) }));
    expect(keyOf(trimmed, '/p/%20..%20')).toMatchObject({ ok: false, error: { code: 'target-invalid' } });
    expect(keyOf(trimmed, '/p/..%20%2Fa')).toMatchObject({
      ok: true,
      value: { canonical: { target: '/p/..%20%2Fa' } },
    });
    expect(keyOf(trimmed, '/p/%20')).toMatchObject({ ok: false, error: { code: 'parameter-invalid' } });
    const dots = tableOf(routeOf({}, { name: 'p', match: '/p/:x.:y', forward: '/{x}' }));
    expect(keyOf(dots, '/p/%2e.a')).toMatchObject({ ok: false });
    expect(keyed(dots, '/p/a.b').canonical.target).toBe('/a');
  });

  test('takes the default of an optional group', () => {
    const pathParams = rulesOf(ruleOf('days', integer, { default: '7' }));
    const table = tableOf(routeOf({}, { name: 'p', match: '/w{/:days}?', pathParams }));
    expect(keyed(table, '/w').canonical.target).toBe('/w/7');
    expect(keyed(table, '/w/007').key).toBe(keyed(table, '/w').key);
    const required = rulesOf(ruleOf('days', integer, { required: true }));
    const strict = tableOf(routeOf({}, { name: 'p', match: '/w{/:days}?', pathParams: required }));
    expect(keyOf(strict, '/w')).toMatchObject({ error: { code: 'parameter-missing' } });
  });
});

describe('the canonical URL', () => {
  test('names the host of the route', () => {
    const table = tableOf(routeOf({}, { match: '/a', host: 'api.example' }));
    const request = { path: '/a', query: 'x=1', host: 'api.example', listener: 'default', fields: [] };
    const match = matchRoute(table, request);
    const result = match && deriveKey(match, request, sha256);
    expect(result).toMatchObject({ ok: true, value: { url: '//api.example/a?x=1', key: 'forecast|/a?x=1' } });
  });

  test('is one for all paths that the route forwards as one', () => {
    const table = tableOf(routeOf({}, { match: '/old/:version/*{/x}?', forward: '/new/{0}' }));
    const urls = ['/old/v1/a', '/old/v2/a'].map((path) => keyed(table, path).url);
    expect(urls).toEqual(['/old/*/a', '/old/*/a']);
  });

  test.for([
    ['/:rest*', '/a/b', '/*'],
    ['/:one?', '/a', '/*'],
    ['/:one?.json', '/a.json', '/*.json'],
    ['/:one?{.json}?', '/a.json', '/*'],
    ['/:one?/:two?', '/a/b', '/*/*'],
    ['/*/:one?', '/a/b', '/*'],
  ] as const)('of %s is a path though all that there is, of %s, is dropped', ([match, path, url]) => {
    const table = tableOf(routeOf({}, { name: 'p', match, forward: '/v1' }));
    expect(keyed(table, `${path}?x=1`)).toMatchObject({ key: 'p|/v1?x=1', url: `${url}?x=1` });
    expect(keyed(table, url).url).toBe(url);
  });
});

describe('a raw query', () => {
  const table = tableOf(honourRoute({}, { name: 'h', match: '/h/*', rawQuery: true, secret: ['key'], ignore: ['_'] }));

  test('is keyed and forwarded byte for byte', () => {
    for (const query of ['b=2&a=1', 'a=%7e', 'a=~', 'a+b', 'a=%zz', 'a&&b', '', '?', 'a=1;b=2', 'a=[]|"']) {
      expect(keyed(table, `/h/x?${query}`).canonical.target).toBe(`/h/x?${query}`);
    }
    expect(keyed(table, '/h/x').canonical.target).toBe('/h/x');
    expect(keyed(table, '/h/x?').key).not.toBe(keyed(table, '/h/x').key);
  });

  test('loses the parameters that may not leave, however they are spelt or cloaked', () => {
    for (const [query, left] of [
      ['a=1&KEY=HUSH&b=2', 'a=1&b=2'],
      ['key=HUSH&b=2', 'b=2'],
      ['a=1&%6Bey=HUSH', 'a=1'],
      ['a=1;key=HUSH;b=2', 'a=1;b=2'],
      ['a=1;key=HUSH&b=2', 'a=1&b=2'],
      ['_=1&a&_', 'a'],
    ] as const) {
      const request = keyed(table, `/h/x?${query}`);
      expect(request.canonical.target).toBe(`/h/x?${left}`);
      expect(JSON.stringify([request, request.steps()])).not.toContain('HUSH');
    }
    expect(keyed(table, '/h/x?key=HUSH').canonical.target).toBe('/h/x');
  });

  test('cannot be taken for a keyed field', () => {
    const named = tableOf(honourRoute({}, { name: 'h', match: '/h', rawQuery: true, headers: ['a'] }));
    const keys = [
      keyed(named, '/h?x|a=1').key,
      keyed(named, '/h?x', [['a', '1']]).key,
      keyed(named, '/h?x|', [['a', '1']]).key,
      keyed(named, '/h?x||a=1').key,
    ];
    expect(new Set(keys).size).toBe(4);
  });
});

const target = (route: Route, path: string, query: string | undefined): unknown => {
  const match = matchRoute(tableOf(route), { path, host: '', listener: 'default' });
  return match && rawTarget(match, { path, query });
};

describe('the target of a relayed request', () => {
  test('has raw groups and the raw query without secrets', () => {
    const route = routeOf({}, { match: '/live/*', forward: '/v2/{0}', cache: 'off', secret: ['apikey'] });
    expect(target(route, '/live/a%2Fb', 'z=%7e&APIKEY=HUSH&a=+')).toEqual({ ok: true, value: '/v2/a%2Fb?z=%7e&a=+' });
    expect(target(route, '/live/', undefined)).toEqual({ ok: true, value: '/v2/' });
  });

  test('is refused where it would name another host', () => {
    const route = routeOf({}, { match: '/live/*', forward: '/{0}', cache: 'off' });
    expect(target(route, '/live//evil.example/', undefined)).toMatchObject({
      ok: false,
      error: { code: 'target-invalid' },
    });
  });
});

describe('the steps', () => {
  test('show each part before and after, with what was done', () => {
    const table = tableOf(forecast({ headers: ['accept', 'authorization'], ignore: ['_'], secret: ['apikey'] }));
    const raw = '/weather/forecast?city=New++York&units=metric&_=5&ApiKey=HUSH&zz=%FF';
    expect(keyed(table, raw, [['authorization', 'HUSH']]).steps()).toEqual([
      { part: 'path', name: 'path', before: '/weather/forecast', after: '/v1/forecast', rule: 'forward /v1/forecast' },
      { part: 'query', name: 'days', before: undefined, after: '7', rule: 'default' },
      { part: 'query', name: 'location', before: 'New  York', after: 'new york', rule: 'text, as city' },
      { part: 'query', name: 'units', before: 'metric', after: 'metric', rule: 'enum' },
      { part: 'query', name: '_', before: '5', after: undefined, rule: 'ignored' },
      { part: 'query', name: 'ApiKey', before: '***', after: undefined, rule: 'secret, removed' },
      { part: 'query', name: 'zz', before: '%FF', after: undefined, rule: 'unknown, dropped' },
      { part: 'header', name: 'accept', before: undefined, after: undefined, rule: 'keyed field, absent' },
      { part: 'header', name: 'authorization', before: '***', after: '***', rule: 'keyed field, as a digest' },
    ]);
  });

  test('show groups of the path', () => {
    const pathParams = rulesOf(ruleOf('lat', decimal(1)));
    const table = tableOf(routeOf({}, { match: '/p/:lat/:x/:y', forward: '/{lat}/{x}', pathParams }));
    expect(keyed(table, '/p/1.25/a%20/b').steps()).toEqual([
      { part: 'path', name: 'path', before: '/p/1.25/a%20/b', after: '/1.3/a%20', rule: 'forward /{lat}/{x}' },
      { part: 'path', name: 'lat', before: '1.25', after: '1.3', rule: 'decimal' },
      { part: 'path', name: 'x', before: 'a%20', after: 'a%20', rule: 'group, byte for byte' },
      { part: 'path', name: 'y', before: 'b', after: undefined, rule: 'not in forward, dropped' },
    ]);
  });
});

function issuesOfTable(route: Route): unknown {
  const built = buildRouteTable([route]);
  return built.ok ? [] : built.error.map((issue) => issue.message);
}

describe('the zone of a request, where a parameter or group names it', () => {
  const daily = { kind: 'daily', atMinutes: 0, zone: '{zone}', fallbackZone: 'UTC', jitterMs: 0 } as const;

  test('is the normalised value of the parameter, its default included', () => {
    const rule = ruleOf('zone', exact, { default: 'Europe/Berlin' });
    const table = tableOf(routeOf({ expireAt: daily }, { match: '/f', params: rulesOf(rule) }));
    expect(keyed(table, '/f?zone=Asia%2FTokyo').zone).toBe('Asia/Tokyo');
    expect(keyed(table, '/f').zone).toBe('Europe/Berlin');
  });

  test('is absent where the parameter is', () => {
    const table = tableOf(routeOf({ expireAt: daily }, { match: '/f', params: rulesOf(ruleOf('zone', exact)) }));
    expect(keyed(table, '/f').zone).toBeUndefined();
  });

  test('is that of a group, decoded', () => {
    const route = routeOf({ expireAt: daily }, { match: '/f/:zone' });
    expect(keyed(tableOf(route), '/f/Asia%2FTokyo').zone).toBe('Asia/Tokyo');
    expect(keyed(tableOf({ ...route, pathParams: rulesOf(ruleOf('zone', exact)) }), '/f/Asia%2FTokyo').zone).toBe(
      'Asia/Tokyo',
    );
  });

  test('is none where the zone is fixed', () => {
    const table = tableOf(routeOf({ expireAt: { ...daily, zone: 'Asia/Tokyo' } }, { match: '/f' }));
    expect(keyed(table, '/f').zone).toBeUndefined();
  });

  test('must be one that the route has, and one of the two', () => {
    expect(issuesOfTable(routeOf({ expireAt: daily }, { match: '/f' }))).toEqual([
      'expireAt: no parameter or group "zone"',
    ]);
    const both = routeOf({ expireAt: daily }, { match: '/f/:zone', params: rulesOf(ruleOf('zone', exact)) });
    expect(issuesOfTable(both)).toEqual([
      'expireAt: {zone} is a query parameter and a group of match; rename the group',
    ]);
  });

  test('must not be a group that forward leaves out, which is in no key', () => {
    const route = routeOf({ expireAt: daily }, { match: '/f/:zone', forward: '/f' });
    expect(issuesOfTable(route)).toEqual([
      'expireAt: {zone} is not in forward, so that requests which differ in it share one stored response',
    ]);
    expect(issuesOfTable({ ...route, forward: '/f/{zone}' })).toEqual([]);
  });
});
