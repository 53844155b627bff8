import { describe, expect, it } from 'vitest';
import { confirms, freshenByHead, freshenStored, validationFields } from '../../src/core/freshen.ts';
import type { Route } from '../../src/core/route.ts';
import { fieldsOf, honourRoute, HOUR, MINUTE, routeOf, storedOf, T0 } from '../support/policy.ts';

const stored = storedOf({
  fields: fieldsOf(
    'Content-Type: application/json',
    'Content-Encoding: gzip',
    'Date: Mon, 23 Nov 2026 12:00:00 GMT',
    'Cache-Control: max-age=60',
    'ETag: "a"',
    'X-Old: kept',
    'X-Changed: one',
    'X-Changed: two',
  ),
  etag: '"a"',
  lastModified: 'Sun, 22 Nov 2026 12:00:00 GMT',
});

function freshen(lines: readonly string[], route: Route = honourRoute(), request: readonly string[] = []) {
  const atMs = T0 + 2 * HOUR;
  return freshenStored({
    stored,
    route,
    requestFields: fieldsOf(...request),
    keyed: { key: 'forecast|/forecast', canonical: { method: 'GET' } },
    fields: fieldsOf(...lines),
    requestTimeMs: atMs,
    responseTimeMs: atMs,
  });
}

describe('a 304 for a stored response (RFC 9111 §3.2, §4.3.4)', () => {
  it('replaces the fields that it has, and no others', () => {
    const { response, storage } = freshen([
      'Date: Mon, 23 Nov 2026 14:00:00 GMT',
      'Cache-Control: max-age=120',
      'X-Changed: three',
      'X-New: 1',
      'Content-Length: 0',
      'Content-Encoding: br',
      'Content-Range: bytes 0-1/2',
      'Connection: x-hop',
      'X-Hop: 1',
      'Set-Cookie: a=b',
      'Age: 5',
    ]);
    expect(storage.kind).toBe('store');
    expect(new Set(response.fields.map(([name, value]) => `${name}: ${value}`))).toEqual(
      new Set([
        'cache-control: max-age=120',
        'content-encoding: gzip',
        'content-type: application/json',
        'date: Mon, 23 Nov 2026 14:00:00 GMT',
        'etag: "a"',
        'x-changed: three',
        'x-new: 1',
        'x-old: kept',
      ]),
    );
    expect(response.fields).toHaveLength(8);
    expect(response).toMatchObject({
      status: 200,
      body: stored.body,
      initialAgeMs: 5000,
      responseTimeMs: T0 + 2 * HOUR,
    });
    expect(response.freshness).toMatchObject({ freshUntilMs: T0 + 2 * HOUR + 115_000, source: 'max-age' });
  });

  it('brings no digest where there is none: it would be of a coding that was taken off', () => {
    const names = ['Content-MD5', 'Content-Digest', 'Repr-Digest', 'Digest'];
    const { response } = freshen(names.map((name) => `${name}: x`));
    const found = response.fields.map(([name]) => name).filter((name) => /digest|md5/.test(name));
    expect(found).toEqual([]);
  });

  it('makes fresh again what says nothing new, and young what has no Date', () => {
    const { response } = freshen([]);
    expect(response.freshness.freshUntilMs).toBe(T0 + 2 * HOUR + MINUTE);
    expect(response.initialAgeMs).toBe(0);
    expect(response.fields).toContainEqual(['date', 'Mon, 23 Nov 2026 14:00:00 GMT']);
    expect(response.fields.filter(([name]) => name === 'date')).toHaveLength(1);
  });

  it('may bring new validators', () => {
    const { response } = freshen(['ETag: "b"', 'Last-Modified: Mon, 23 Nov 2026 12:00:00 GMT']);
    expect(response).toMatchObject({ etag: '"b"', lastModified: 'Mon, 23 Nov 2026 12:00:00 GMT' });
  });

  it('counts by the rule on ruled routes', () => {
    const { response } = freshen(['Cache-Control: no-store'], routeOf());
    expect(response.freshness).toMatchObject({ freshUntilMs: T0 + 3 * HOUR, source: 'rule ttl' });
  });

  it('that forbids storing answers this request and ends what is stored', () => {
    const { response, storage, ends } = freshen(['Cache-Control: no-store']);
    expect(storage).toEqual({ kind: 'pass', reason: 'no-store' });
    expect(ends).toBe(true);
    expect(response.fields).toContainEqual(['cache-control', 'no-store']);
    expect(response.freshness.retainUntilMs).toBe(response.responseTimeMs);
    expect(response.freshness.freshUntilMs).toBe(response.responseTimeMs);
  });

  it('that forbids storing brings its validators all the same', () => {
    const { response } = freshen(['Cache-Control: no-store', 'ETag: W/"a"', 'Last-Modified: yesterday']);
    expect(response).toMatchObject({ etag: 'W/"a"', lastModified: undefined });
  });

  it.each<[string, readonly string[], string, boolean]>([
    ['Cache-Control: no-store', ['Cache-Control: max-age=120'], 'request-no-store', false],
    ['Cache-Control: no-store', ['Cache-Control: no-store'], 'request-no-store', true],
    ['Authorization: Bearer a', ['Cache-Control: max-age=120'], 'authorization', false],
    ['Authorization: Bearer a', ['Cache-Control: private'], 'authorization', true],
    ['Cookie: a=1', [], 'cookie', false],
  ])('to a request with %s ends what is stored only by what it says itself: %j', (request, lines, reason, expected) => {
    const { storage, ends } = freshen(lines, honourRoute(), [request]);
    expect([storage, ends]).toEqual([{ kind: 'pass', reason }, expected]);
  });
});

describe('a 304 confirms what is stored (RFC 9111 §4.3.4)', () => {
  const date = 'Sun, 22 Nov 2026 12:00:00 GMT';
  const later = 'Sun, 22 Nov 2026 12:00:01 GMT';

  it.each<[string, readonly [etag: string | undefined, lastModified: string | undefined], readonly string[], boolean]>([
    ['with the same strong tag', ['"a"', undefined], ['ETag: "a"'], true],
    ['with another strong tag', ['"a"', undefined], ['ETag: "b"'], false],
    ['with the strong form of its weak tag', ['W/"a"', undefined], ['ETag: "a"'], false],
    ['with the weak form of its strong tag', ['"a"', undefined], ['ETag: W/"a"'], true],
    ['with the same weak tag', ['W/"a"', undefined], ['ETag: W/"a"'], true],
    ['with another weak tag', ['W/"a"', undefined], ['ETag: W/"b"'], false],
    ['with the same tag without quotation marks', ['a', undefined], ['ETag: a'], true],
    ['with a strong tag where it has none', [undefined, date], ['ETag: "a"'], false],
    [
      'with a strong tag where it has none, and its Last-Modified',
      [undefined, date],
      ['ETag: "a"', `Last-Modified: ${date}`],
      false,
    ],
    ['with a weak tag where it has none', [undefined, date], ['ETag: W/"a"'], false],
    [
      'with a weak tag where it has none, and its Last-Modified',
      [undefined, date],
      ['ETag: W/"a"', `Last-Modified: ${date}`],
      true,
    ],
    [
      'with a weak tag where it has neither, and a Last-Modified',
      [undefined, undefined],
      ['ETag: W/"a"', `Last-Modified: ${date}`],
      false,
    ],
    ['with the same tag and a later Last-Modified', ['"a"', date], ['ETag: "a"', `Last-Modified: ${later}`], true],
    ['with its Last-Modified alone', ['"a"', date], [`Last-Modified: ${date}`], true],
    ['with another Last-Modified alone', ['"a"', date], [`Last-Modified: ${later}`], false],
    ['with a Last-Modified where it has none', ['"a"', undefined], [`Last-Modified: ${date}`], true],
    ['without any validator', ['"a"', date], [], true],
    ['with an empty tag and its Last-Modified', [undefined, date], ['ETag:', `Last-Modified: ${date}`], true],
    ['with several strong tags, its own among them', ['"a"', undefined], ['ETag: "b"', 'ETag: "a"'], true],
    ['with several strong tags, all others', ['"a"', undefined], ['ETag: "b"', 'ETag: "c"'], false],
    ['with a strong tag beside the weak form of its own', ['"a"', undefined], ['ETag: W/"a"', 'ETag: "b"'], false],
  ])('%s', (_case, [etag, lastModified], lines, expected) => {
    expect(confirms({ etag, lastModified }, fieldsOf(...lines))).toBe(expected);
  });
});

describe('a HEAD for a stored response to a GET (RFC 9111 §4.3.5)', () => {
  const atMs = T0 + 2 * HOUR;

  function head(lines: readonly string[], { status = 200, of = stored, request = '' } = {}) {
    const keyed = { key: 'forecast|/forecast', canonical: { method: 'HEAD' } } as const;
    const times = { requestTimeMs: atMs, responseTimeMs: atMs };
    return freshenByHead({
      ...times,
      stored: of,
      route: honourRoute(),
      requestFields: request === '' ? [] : fieldsOf(request),
      keyed,
      status,
      fields: fieldsOf(...lines),
    });
  }

  it('freshens it with the fields of the HEAD, its content and what describes that left alone', () => {
    const decision = head([
      'ETag: "a"',
      'Content-Length: 11',
      'Cache-Control: max-age=120',
      'X-New: 1',
      'Content-Encoding: br',
    ]);
    expect(decision.kind).toBe('update');
    if (decision.kind !== 'update') return;
    expect(decision.storage.kind).toBe('store');
    expect(decision.response).toMatchObject({ status: 200, body: stored.body, etag: '"a"' });
    expect(decision.response.freshness.freshUntilMs).toBe(atMs + 2 * MINUTE);
    expect(decision.response.fields).toContainEqual(['x-new', '1']);
    expect(decision.response.fields).toContainEqual(['x-old', 'kept']);
    expect(decision.response.fields).toContainEqual(['content-encoding', 'gzip']);
  });

  it.each<[string, readonly string[], string]>([
    ['no validator at all', [], 'update'],
    ['the same ETag', ['ETag: "a"'], 'update'],
    ['an empty ETag', ['ETag:'], 'update'],
    ['the same ETag, weak', ['ETag: W/"a"'], 'update'],
    ['another ETag', ['ETag: "b"'], 'invalidate'],
    ['a Vary that is new', ['ETag: "a"', 'Vary: Accept'], 'invalidate'],
    ['the same Last-Modified', ['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT'], 'update'],
    ['another Last-Modified', ['ETag: "a"', 'Last-Modified: Sun, 22 Nov 2026 12:00:01 GMT'], 'invalidate'],
    ['another length', ['ETag: "a"', 'Content-Length: 12'], 'invalidate'],
    ['the same length', ['Content-Length: 11'], 'update'],
    ['no-store', ['ETag: "a"', 'Cache-Control: no-store'], 'invalidate'],
  ])('with %s: %s', (_case, lines, expected) => {
    expect(head(lines).kind).toBe(expected);
  });

  it.each<[string, string, string]>([
    ['the same Vary', 'Accept-Language, Accept', 'update'],
    ['a narrower Vary', 'accept', 'update'],
    ['a wider Vary', 'Accept, Accept-Language, Cookie', 'invalidate'],
    ['a Vary of all', '*', 'invalidate'],
  ])('and %s: %s', (_case, vary, expected) => {
    const varied = { ...stored, fields: [...stored.fields, ...fieldsOf('Vary: Accept, Accept-Language')] };
    expect(head(['ETag: "a"', `Vary: ${vary}`], { of: varied }).kind).toBe(expected);
  });

  it('drops what is stored under a weak tag where the HEAD has the strong one, as a 304 does', () => {
    expect(head(['ETag: "a"'], { of: { ...stored, etag: 'W/"a"' } }).kind).toBe('invalidate');
    expect(head(['ETag: W/"a"'], { of: { ...stored, etag: 'W/"a"' } }).kind).toBe('update');
  });

  it('drops what has no such validator, and what is no 200', () => {
    const bare = storedOf({ fields: fieldsOf('Cache-Control: max-age=60') });
    expect(head(['ETag: "a"'], { of: bare }).kind).toBe('invalidate');
    expect(head(['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT'], { of: bare }).kind).toBe('invalidate');
    expect(head([], { of: { ...stored, status: 404 } }).kind).toBe('invalidate');
  });

  it.each(['Cache-Control: no-store', 'Authorization: Bearer a'])('to a request with %s drops nothing', (request) => {
    expect(head(['ETag: "a"'], { request })).toMatchObject({ kind: 'ignore', reason: expect.stringContaining('§') });
    expect(head(['ETag: "a"', 'Cache-Control: private'], { request }).kind).toBe('invalidate');
  });

  it.each<[string, readonly string[], string]>([
    ['the same ETag', ['ETag: "a"', 'Content-Length: 3'], 'update'],
    ['the same ETag, weak', ['ETag: W/"a"'], 'update'],
    ['the same Last-Modified', ['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT'], 'update'],
    ['the same ETag and a Vary that is new', ['ETag: "a"', 'Vary: Accept'], 'invalidate'],
    ['the same ETag and no-store', ['ETag: "a"', 'Cache-Control: no-store'], 'invalidate'],
    ['another ETag', ['ETag: "b"', 'Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT'], 'ignore'],
    ['another Last-Modified', ['Last-Modified: Sun, 22 Nov 2026 12:00:01 GMT'], 'ignore'],
    ['no validator', [], 'ignore'],
  ])('as a 304 to a condition of its client, with %s: %s', (_case, lines, expected) => {
    expect(head(lines, { status: 304 }).kind).toBe(expected);
  });

  it('as a 304 with a validator that is not stored says nothing', () => {
    const tagged = storedOf({ etag: '"a"', fields: fieldsOf('ETag: "a"', 'Cache-Control: max-age=60') });
    expect(head(['Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT'], { status: 304, of: tagged }).kind).toBe('ignore');
  });

  it.each([204, 206, 301, 304, 404, 410, 500, 503])('says nothing by a %i', (status) => {
    expect(head(['ETag: "b"'], { status }).kind).toBe('ignore');
  });
});

describe('a validation (RFC 9111 §4.3.1)', () => {
  it('asks with all validators that are stored', () => {
    expect(validationFields(stored)).toEqual([
      ['if-none-match', '"a"'],
      ['if-modified-since', 'Sun, 22 Nov 2026 12:00:00 GMT'],
    ]);
    expect(validationFields(storedOf({ etag: 'W/"b"' }))).toEqual([['if-none-match', 'W/"b"']]);
    expect(validationFields(storedOf())).toEqual([]);
  });
});
