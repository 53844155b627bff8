import { describe, expect, test } from 'vitest';
import { announcedContent, type ContentOutcome, type KeyedContent, readContent } from '../../src/core/content-key.ts';
import { readGraphql } from '../../src/core/graphql-text.ts';
import { deriveKey, isCutKey } from '../../src/core/key.ts';
import type { KeyedRequest } from '../../src/core/request.ts';
import { matchRoute } from '../../src/core/route-table.ts';
import type { ContentMethod, ContentRules, Route } from '../../src/core/route.ts';
import { baseKeyOf, variantKey } from '../../src/core/vary.ts';
import { fieldsOf, honourRoute, requestOf, routeOf } from '../support/policy.ts';
import { exact, ruleOf, rulesOf, sha256, tableOf } from '../support/routes.ts';

interface Sent {
  readonly as?: ContentRules['as'];
  readonly method?: ContentMethod;
  /** `null`: no Content-Type. */
  readonly type?: string | null;
  readonly body: string | Uint8Array;
}

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

function read({ as = 'auto', method = 'POST', type = 'application/json', body }: Sent): ContentOutcome {
  const fields = type === null ? [] : fieldsOf(`content-type: ${type}`);
  const announced = announcedContent(rulesFor(as), { method, fields, query: undefined });
  if (announced.kind === 'read') return readContent(announced.form, bytesOf(body), readGraphql);
  return announced.kind === 'reject' ? announced : { ...announced, why: 'announces it' };
}

function rulesFor(as: ContentRules['as']): ContentRules {
  return { methods: ['QUERY', 'POST'], as, maxBytes: 1000 };
}

function content(sent: Sent): KeyedContent {
  const outcome = read(sent);
  if (outcome.kind !== 'keyed') throw new Error(JSON.stringify(outcome));
  return outcome.content;
}

function upstream(sent: Sent): readonly [type: string, text: string] {
  const { canonical } = content(sent);
  return [canonical.type, Buffer.from(canonical.bytes).toString()];
}

/** Long enough for keys that may be cut. */
const query = `a=1|b${'x'.repeat(20)}`;

function keyWith(route: Route, sent: Sent | undefined): KeyedRequest {
  const request = requestOf({ query });
  const match = matchRoute(tableOf(route), request);
  if (match === undefined) throw new Error('no route');
  const keyed = deriveKey(match, { ...request, content: sent === undefined ? undefined : content(sent) }, sha256);
  if (!keyed.ok) throw new Error(keyed.error.detail);
  return keyed.value;
}

test('a key with content is told apart by itself alone, never by the values that a GET has too', () => {
  const route = routeOf({}, { unknownQuery: 'drop', content: rulesFor('auto') });
  const json = { type: 'application/json', body: '{}' };
  expect(keyWith(route, undefined).values).toBeDefined();
  expect(keyWith(route, undefined).key).not.toBe(keyWith(route, json).key);
  expect(keyWith(route, json).values).toBeUndefined();
});

test('a key with content takes no rule of upstream for queries, which is about the URL alone', () => {
  const route = honourRoute({}, { rawQuery: true, noVarySearch: true, content: rulesFor('auto') });
  expect(keyWith(route, undefined).search).toBeDefined();
  expect(keyWith(route, { type: 'application/json', body: '{}' }).search).toBeUndefined();
});

describe('content by its type', () => {
  test.each([
    ['application/json', ' {"b":1.0, "a":2}', '{"a":2,"b":1}'],
    ['application/geo+json', '[ 1 ]', '[1]'],
    ['application/x-www-form-urlencoded', 'b=2&a=%41+b&b=1&&c', 'a=A%20b&b=2&b=1&c'],
    ['text/plain', ' {"b":1.0}', ' {"b":1.0}'],
    ['application/json;charset=iso-8859-1', '{ }', '{ }'],
  ])('is canonical where it is %s', (type, body, expected) => {
    expect(upstream({ type, body })).toEqual([type, expected]);
  });

  test('is taken byte for byte where the route says so', () => {
    expect(upstream({ as: 'bytes', body: '{ }' })[1]).toBe('{ }');
    const bytes = Uint8Array.of(0, 255, 128, 10);
    expect([...content({ as: 'bytes', type: 'application/octet-stream', body: bytes }).canonical.bytes]).toEqual([
      ...bytes,
    ]);
  });

  test.each([
    ['Application/JSON', 'application/json'],
    ['application/json; charset="UTF-8"', 'application/json'],
    ['application/ld+json ; profile="a;b" ; charset=Utf-8;', 'application/ld+json;profile="a;b"'],
    ['text/plain; Format=Flowed; CHARSET=ISO-8859-1', 'text/plain;charset=iso-8859-1;format=Flowed'],
    ['text/plain; b=2; a="1"', 'text/plain;a=1;b=2'],
  ])('has one spelling of its type: %s', (given, expected) => {
    expect(upstream({ type: given, body: '1' })[0]).toBe(expected);
  });

  test.each([
    '',
    'json',
    'a/b/c',
    'text/plain; a=1; A=2',
    'text/plain, text/plain',
    'text/plain; a',
    'text/plain; a="x',
  ])('of a type that is none (%j) goes upstream as it came from a POST, and is refused of a QUERY', (type) => {
    expect(upstream({ type, body: '{ }' })).toEqual([type, '{ }']);
    expect(read({ type, method: 'QUERY', body: '{ }' })).toMatchObject({
      kind: 'reject',
      problem: { status: 400, code: 'content-type-invalid' },
    });
  });

  test('needs a type of a QUERY (RFC 10008 §2), not of a POST', () => {
    expect(read({ type: null, method: 'QUERY', body: '' })).toMatchObject({
      problem: { code: 'content-type-missing' },
    });
    expect(upstream({ type: null, body: 'x' })).toEqual(['', 'x']);
  });

  test('tells a quote within a parameter of its type from one around it', () => {
    const types = [String.raw`text/x;a="b \";c=\" d"`, 'text/x;a="b ";c=" d"', String.raw`text/x;a="b \\";c=" d"`];
    expect(types.map((type) => upstream({ type, body: '' })[0])).toEqual(types);
  });

  test('that is said twice is of no type: a POST is relayed as it came, a QUERY refused', () => {
    const fields = fieldsOf('content-type: text/plain', 'content-type: text/plain');
    const said = (method: ContentMethod) => announcedContent(rulesFor('bytes'), { method, fields, query: undefined });
    expect(said('POST')).toEqual({ kind: 'relay', fwd: 'bypass', reason: 'content-type' });
    expect(said('QUERY')).toMatchObject({ kind: 'reject', problem: { code: 'content-type-invalid' } });
  });

  test.each(['json', 'graphql', 'form'] as const)('that is not read as %s is relayed', (as) => {
    for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16', null]) {
      expect(read({ as, type, body: '' })).toMatchObject({ kind: 'relay' });
    }
  });

  test.each([
    ['content-encoding: gzip', 'content-coding', 415],
    ['content-length: 1001', 'content-length', undefined],
    ['content-type: application/json', 'content-type', 400],
  ])('that announces %s too goes upstream as it came from a POST, by its %s', (line, reason, status) => {
    const fields = fieldsOf(line, 'content-type: application/json');
    const asks = { fields, query: undefined };
    expect(announcedContent(rulesFor('json'), { ...asks, method: 'POST' })).toEqual({
      kind: 'relay',
      fwd: 'bypass',
      reason,
    });
    // Of its length the reader of content says so, and counts it.
    const announced = announcedContent(rulesFor('json'), { ...asks, method: 'QUERY' });
    expect(announced).toMatchObject(status === undefined ? { kind: 'read' } : { kind: 'reject', problem: { status } });
  });

  test('is read where the coding it names is none, and up to exactly the length that the route reads', () => {
    const fields = fieldsOf('content-encoding: identity', 'content-type: text/json', 'content-length: 1000');
    const announced = announcedContent(rulesFor('json'), { method: 'POST', fields, query: undefined });
    expect(announced).toMatchObject({ kind: 'read', form: { as: 'json' } });
  });

  test.each([
    ['application/json', '{"a":1,"a":2}', 'names a member of an object twice'],
    ['application/json', '{', 'is not JSON'],
    ['application/json', '', 'is not JSON'],
    ['application/json', '['.repeat(65) + ']'.repeat(65), 'is nested more than 64 deep'],
    ['application/json', Uint8Array.of(0x22, 0xff, 0x22), 'is not UTF-8 text'],
    ['application/json', Uint8Array.of(0xef, 0xbb, 0xbf, 0x31), 'is not JSON'],
    ['application/x-www-form-urlencoded', 'a=%4', 'holds a %'],
  ])("that has no one meaning is refused of a QUERY, and upstream's to judge of a POST: %s %j", (type, body, why) => {
    expect(read({ type, body, method: 'QUERY' })).toMatchObject({
      kind: 'reject',
      problem: { status: 400, code: 'content-invalid', detail: expect.stringContaining(why) as unknown },
    });
    const relayed = { kind: 'relay', fwd: 'bypass', reason: 'content-invalid' };
    expect(read({ type, body })).toMatchObject({ ...relayed, why: expect.stringContaining(why) as unknown });
  });

  test('as a form keeps bytes that are no text', () => {
    const type = 'application/x-www-form-urlencoded';
    expect(upstream({ type, body: Uint8Array.of(0x61, 0x3d, 0xff) })[1]).toBe('a=%FF');
    expect(upstream({ type, body: 'a=é' })[1]).toBe('a=%C3%A9');
  });
});

function graphql(body: unknown, method: ContentMethod = 'POST'): ContentOutcome {
  return read({ as: 'graphql', method, body: typeof body === 'string' ? body : JSON.stringify(body) });
}

function nested(depth: number): string {
  return `${'{a'.repeat(depth)}${'}'.repeat(depth)}`;
}

function extendedBy(extensions: object): string {
  return JSON.stringify({ query: 'query { a  } # x', extensions });
}

function list(depth: number): string {
  return `{a(x:${'['.repeat(depth)}${']'.repeat(depth)})}`;
}

function manyFields(tokens: number): string {
  return `{${'a '.repeat(tokens - 2)}}`;
}

describe('a GraphQL request', () => {
  test('is one for all spellings of its query and its variables', () => {
    const spellings = [
      { query: 'query W($c: String!, $n: Int) { city(name: $c) { temp wind } }', variables: { c: 'Lima', n: 1 } },
      {
        variables: { n: 1, c: 'Lima' },
        query: '\ufeffquery W(\n$c: String!\n$n: Int)\n{ city(name:$c){temp,wind}} # now',
      },
      '{"operationName":null,"extensions":null,"variables":{"n":1.0,"c":"\\u004cima"},"query":"query W($c:String!$n:Int){city(name:$c){temp wind}}"}',
    ];
    const texts = spellings.map((body) =>
      upstream({ as: 'graphql', body: typeof body === 'string' ? body : JSON.stringify(body) }),
    );
    expect(new Set(texts.map(String)).size).toBe(1);
    expect(texts[0]?.[1]).toBe(
      '{"query":"query W($c:String!$n:Int){city(name:$c){temp wind}}","variables":{"c":"Lima","n":1}}',
    );
  });

  test('is told apart by strings, variables and the operation that would run', () => {
    const two = 'query A { a } query B { b }';
    const bodies = [
      { query: '{ a(x: "1  2") }' },
      { query: '{ a(x: "1 2") }' },
      { query: '{ a }', variables: { x: 1 } },
      { query: '{ a }', variables: {} },
      { query: '{ a }' },
      { query: '{ b: a }' },
      { query: two, operationName: 'A' },
      { query: two, operationName: 'B' },
    ];
    expect(new Set(bodies.map((body) => upstream({ as: 'graphql', body: JSON.stringify(body) })[1])).size).toBe(8);
  });

  test.each([
    ['a mutation', { query: 'mutation { a }' }, 'a mutation'],
    ['a subscription', { query: 'subscription { a }' }, 'a subscription'],
    ['a mutation beside a query', { query: 'query A { a } mutation B { b }', operationName: 'B' }, 'a mutation'],
    ['several operations without a name', { query: 'query A { a } mutation B { b }' }, 'which operation'],
    ['a name that no operation has', { query: 'query A { a }', operationName: 'C' }, 'which operation'],
    ['a document that does not parse', { query: '{ a' }, 'does not parse'],
    ['a document that does not even lex', { query: '{ a(x: "' }, 'does not parse'],
    ['an empty document', { query: '' }, 'does not parse'],
    ['a fragment alone', { query: 'fragment F on T { a }' }, 'which operation'],
    ['a schema', { query: 'type T { a: Int } query { a }' }, 'cannot be executed'],
    ['a batch', [{ query: '{ a }' }], 'batch'],
    ['a query that is no text', { query: 1, extensions: {} }, 'no GraphQL request'],
    ['nothing', {}, 'no GraphQL request'],
    ['beside what may name another document', { query: '{ a }', id: 'b' }, 'members'],
    ['beside a document of another server', { query: '{ a }', documentId: null }, 'members'],
    ['a persisted document, perhaps a mutation', { extensions: { persistedQuery: { sha256Hash: 'a' } } }, 'persisted'],
  ])('is relayed where it is %s', (_what, body, why) => {
    expect(graphql(body)).toMatchObject({ kind: 'relay', why: expect.stringContaining(why) as unknown });
  });

  test.each([
    ['query=mutation{a}', false],
    ['a=1&operationName=A', false],
    ['variables', false],
    ['extensions={}', false],
    ['q=1&%69d=b', false],
    ['documentId=', false],
    ['q=1&ids=2&Query=3', true],
    [undefined, true],
  ])('is read only where its URL has none of its members: %s', (queryOfUrl, isRead) => {
    for (const method of ['POST', 'QUERY'] as const) {
      const asks = { method, fields: fieldsOf('content-type: application/json'), query: queryOfUrl };
      expect(announcedContent(rulesFor('graphql'), asks)).toMatchObject(
        isRead ? { kind: 'read' } : { kind: 'relay', fwd: 'bypass', reason: 'graphql-url' },
      );
      expect(announcedContent(rulesFor('json'), asks)).toMatchObject({ kind: 'read' });
    }
  });

  test('is keyed where it is a query among mutations', () => {
    expect(graphql({ query: 'query A { a } mutation B { b }', operationName: 'A' }).kind).toBe('keyed');
  });

  test('of a persisted document is keyed where the method is safe, whatever the document does', () => {
    expect(graphql({ extensions: { persistedQuery: { sha256Hash: 'a' } } }, 'QUERY').kind).toBe('keyed');
    expect(graphql({ query: 'mutation { a }' }, 'QUERY').kind).toBe('relay');
  });

  test('beside the hash of its document goes upstream with the document that was hashed', () => {
    const hashed = { persistedQuery: { version: 1, sha256Hash: 'h' } };
    expect(upstream({ as: 'graphql', body: extendedBy(hashed) })[1]).toBe(
      '{"extensions":{"persistedQuery":{"sha256Hash":"h","version":1}},"query":"query { a  } # x"}',
    );
    expect(upstream({ as: 'graphql', body: extendedBy({ trace: true }) })[1]).toBe(
      '{"extensions":{"trace":true},"query":"query{a}"}',
    );
    expect(graphql({ query: 'mutation { a }', extensions: hashed })).toMatchObject({ kind: 'relay' });
  });

  test('that would keep the parser busy, or overflow its stack, is relayed', () => {
    expect(graphql({ query: nested(200) }).kind).toBe('keyed');
    expect(graphql({ query: nested(201) })).toMatchObject({
      kind: 'relay',
      why: expect.stringContaining('more') as unknown,
    });
    expect(graphql({ query: list(198) }).kind).toBe('keyed');
    expect(graphql({ query: list(199) }).kind).toBe('relay');
    expect(graphql({ query: list(1_000_000) }).kind).toBe('relay');
    expect(graphql({ query: manyFields(10_000) }).kind).toBe('keyed');
    expect(graphql({ query: manyFields(10_001) }).kind).toBe('relay');
  });
});

describe('a key with content', () => {
  const route = routeOf({}, { rawQuery: true });
  const json = { body: '{"a":1}' };

  test('is that of the URL, the method and a digest', () => {
    const { key, url, canonical } = keyWith(route, json);
    expect(key).toMatch(/^forecast\|\/forecast\?a=1\|\|bx+\|#POST=[0-9a-f]{64}$/);
    expect(url).toBe(`/forecast?${query}`);
    expect(canonical).toMatchObject({ method: 'POST', content: { type: 'application/json' } });
    expect(key).not.toBe(keyWith(route, undefined).key);
  });

  test('holds no space, so that the keys of its variants lead back to it', () => {
    const { key } = keyWith(route, { type: 'text/plain; a="b c"', body: 'x y' });
    expect(key).not.toContain(' ');
    expect(baseKeyOf(variantKey(key, { names: ['accept'] }, [], sha256))).toBe(key);
  });

  test('tells apart what may be answered differently', () => {
    const bodies: readonly Sent[] = [
      json,
      { ...json, method: 'QUERY' },
      { ...json, as: 'bytes' },
      { ...json, type: 'application/geo+json' },
      { body: '{"a":2}' },
      { type: null, body: '' },
      { type: 'text/plain', body: '' },
      { type: null, body: 'text/plain\n' },
      { type: 'text/plain', body: 'a' },
    ];
    const keys = [undefined, ...bodies].map((sent) => keyWith(route, sent).key);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keyWith(route, { body: '{ "a" : 1e0 }' }).key).toBe(keys[1]);
  });

  test('is cut like any other, and told from one that is just short enough', () => {
    const whole = keyWith(route, json).key;
    const fitting = { ...route, maxKeyBytes: whole.length };
    expect(keyWith(fitting, json).key).toBe(whole);
    expect(isCutKey(whole, whole.length)).toBe(false);
    const cut = keyWith({ ...route, maxKeyBytes: whole.length - 1 }, json).key;
    expect(cut).toHaveLength(whole.length - 1);
    expect(isCutKey(cut, whole.length - 1)).toBe(true);
    expect(keyWith({ ...route, maxKeyBytes: whole.length - 1 }, { body: '{"a":2}' }).key).not.toBe(cut);
  });

  test('explains what became of the content without showing it', () => {
    const secret = 'very personal';
    const { steps, key } = keyWith(route, { body: `{ "q" : "${secret}" }`, type: 'Application/JSON' });
    const step = steps().find((one) => one.part === 'content');
    expect(step).toEqual({
      part: 'content',
      name: 'POST',
      before: 'application/json, 25 bytes',
      after: `application/json, 21 bytes, #${key.slice(-64)}`,
      rule: 'JSON, canonical',
    });
    expect(JSON.stringify([steps(), key])).not.toContain(secret);
  });

  test('goes with the tags of the query', () => {
    const tagged = routeOf({}, { params: rulesOf(ruleOf('a', exact)), tags: ['a:{a}'] });
    expect(keyWith(tagged, json).tags).toContain(`a:${query.slice(2)}`);
  });
});
