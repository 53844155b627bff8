import { parseList, Token } from 'structured-headers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ask, type Ask } from '../support/http.ts';
import { type Origin, type OriginPeer, type OriginRequest, startOrigin } from '../support/origin.ts';
import { startProgram } from '../support/program.ts';
import { converse } from '../support/raw.ts';

const config = (origin: string): string => `
server:
  listen: \${FORECACHE_LISTEN}
  limits: { maxHeaderBytes: 2KiB, maxTargetBytes: 200, maxBodyBytes: 1000 }
  timeouts: { headers: 300ms }
admin: { listen: "\${FORECACHE_ADMIN_LISTEN}" }
log: { level: silent }
upstreams:
  api: { origin: "${origin}", headersTimeout: 400ms }
  gone: { origin: "http://127.0.0.1:1" }
routes:
  - { name: ruled, match: /ruled/*, upstream: api, ttl: 1h, query: { n: { type: integer } } }
  - { name: short, match: /short/*, upstream: api, ttl: 1ms, retain: 1h }
  - { name: swr, match: /swr/*, upstream: api, ttl: 1ms, staleWhileRevalidate: 1h }
  - { name: sie, match: /sie/*, upstream: api, ttl: 1ms, staleIfError: 1h }
  - { name: soft, match: /soft/*, upstream: api, ttl: 1ms, staleIfError: 1h, softTimeout: 20ms }
  - { name: small, match: /small/*, upstream: api, ttl: 1h, maxStoredBytes: 10 }
  - { name: shown, match: /shown/*, upstream: api, ttl: 1h, showKey: true }
  - { name: queried, match: /queried, upstream: api, ttl: 1h, content: { methods: QUERY, maxBytes: 100 } }
  - { name: honour, match: /honour/*, upstream: api, upstreamCacheControl: honour, forwardHeaders: ["*"] }
  - { name: live, match: /live/*, upstream: api, cache: off }
  - { name: gone, match: /gone/*, upstream: gone, ttl: 1h }
  - { name: gone-live, match: /gone-live/*, upstream: gone, cache: off }
`;

/** The tokens of RFC 9211 §2.2. */
const reasons: readonly unknown[] = [
  'bypass',
  'method',
  'uri-miss',
  'vary-miss',
  'miss',
  'request',
  'stale',
  'partial',
];

const isTrue = (value: unknown): boolean => value === true;
const isText = (value: unknown): boolean => typeof value === 'string';

/** RFC 9211 §2.1 to §2.8. */
const kinds: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  ['hit', isTrue],
  ['fwd', (value) => reasons.includes(value)],
  ['fwd-status', (value) => Number.isInteger(value) && Number(value) >= 100 && Number(value) <= 599],
  ['ttl', Number.isInteger],
  ['stored', isTrue],
  ['collapsed', isTrue],
  ['key', isText],
  ['detail', isText],
]);

/** They tell of what was forwarded (§2.3 to §2.6). */
const ofForwarded = ['fwd-status', 'stored', 'collapsed'];

type Parameters = Readonly<Record<string, unknown>>;

/** The members of `Cache-Status`, nearest to the origin first: names and parameters, tokens as text. Throws for what is no List. */
function membersOf(field: string): readonly (readonly [name: string, parameters: Parameters])[] {
  return parseList(field).map(([name, parameters]) => [
    String(name),
    Object.fromEntries([...parameters].map(([key, value]) => [key, value instanceof Token ? value.toString() : value])),
  ]);
}

interface Answered {
  readonly status: number;
  readonly field: (name: string) => string | undefined;
  readonly text: string;
}

function problemCode({ text }: Answered): string | undefined {
  return /"type":"urn:forecache:problem:([a-z-]+)"/.exec(text)?.[1];
}

/** Our member, the last one; in front of it is what upstream's caches said, whatever they call themselves. What RFC 9211 says of its parameters holds. */
function ownMember(answer: Answered): Parameters {
  const field = answer.field('cache-status');
  expect(field).toBeDefined();
  const members = membersOf(field ?? '');
  const upstreams = members.filter(([name]) => name === 'edge').length;
  expect(members).toHaveLength(1 + 2 * upstreams);
  const [name, parameters = {}] = members.at(-1) ?? [];
  expect(name).toBe('forecache');
  const given = Object.entries(parameters);
  expect(given.filter(([option, value]) => kinds.get(option)?.(value) !== true)).toEqual([]);
  const { hit, fwd, detail } = parameters;
  expect(hit === true && fwd !== undefined).toBe(false);
  expect(fwd === undefined ? given.filter(([option]) => ofForwarded.includes(option)) : []).toEqual([]);
  // Neither of the two are answers of the proxy's own, which say why; no other answer may be.
  const isOwn = hit === undefined && fwd === undefined;
  expect(isOwn ? detail : undefined).toBe(isOwn ? (problemCode(answer) ?? 'no problem') : undefined);
  return parameters;
}

let origin: Origin;
let program: Awaited<ReturnType<typeof startProgram>>;
/** Status that upstream answered last, by target. */
const upstreamStatus = new Map<string, number>();
/** What the second and later requests of a target are answered with. */
const later = new Map<string, (request: OriginRequest, peer: OriginPeer) => void | Promise<void>>();
const seen = new Map<string, number>();

function script(request: OriginRequest, peer: OriginPeer): void | Promise<void> {
  const { target } = request;
  const count = (seen.get(target) ?? 0) + 1;
  seen.set(target, count);
  const other = later.get(target);
  if (other !== undefined && count > 1) return other(request, peer);
  if (target.endsWith('/closes')) return peer.end();
  if (target.endsWith('/silent')) return peer.closed();
  if (target.endsWith('/breaks')) {
    upstreamStatus.set(target, 200);
    return peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc').then(() => peer.end());
  }
  if (request.field('if-none-match') === '"v1"') return say(request, peer, 304, { ETag: '"v1"' });
  const vary = target.includes('vary') ? { Vary: 'Accept-Language' } : {};
  const fields = { ETag: '"v1"', 'Cache-Control': 'max-age=60', 'Cache-Status': 'edge; hit; ttl=5, forecache; hit' };
  return say(request, peer, 200, { ...fields, ...vary });
}

function say(
  { target }: OriginRequest,
  peer: OriginPeer,
  status: number,
  fields: Readonly<Record<string, string>> = {},
): Promise<void> {
  upstreamStatus.set(target, status);
  return peer.respond(status, fields, status === 304 ? '' : 'content of upstream');
}

/** Asks; where upstream answered, `fwd-status` or the status itself says what (RFC 9211 §2.3). */
async function get(target: string, options: Ask = {}): Promise<Answered & { readonly member: Parameters }> {
  upstreamStatus.delete(target);
  const reply = await ask(program.proxy, target, options);
  const { status, text, headers } = reply;
  const answered = { status, text, field: (name: string) => headers[name]?.toString() };
  const member = ownMember(answered);
  const theirs = upstreamStatus.get(target);
  const forwarded = member['fwd'] !== undefined && theirs !== undefined;
  expect(forwarded ? (member['fwd-status'] ?? status) : theirs).toBe(theirs);
  return { ...answered, member };
}

async function raw(text: string): Promise<readonly [status: number, Parameters]> {
  const { replies } = await converse(program.proxy, text);
  const [reply] = replies;
  if (reply === undefined) throw new Error('no answer');
  return [reply.status, ownMember(reply)];
}

beforeAll(async () => {
  origin = await startOrigin(script);
  program = await startProgram({ config: { text: config(origin.url) } });
});

afterAll(async () => {
  await program?.[Symbol.asyncDispose]();
  await origin?.close();
});

function query(body: string): Ask {
  return {
    method: 'QUERY',
    body,
    headers: { 'content-type': 'application/json', 'content-length': String(body.length) },
  };
}

const miss = { fwd: 'uri-miss', stored: true };

describe('Cache-Status of the program (RFC 9211)', () => {
  it('is a stored miss, then a hit whose ttl is what Cache-Control leaves', async () => {
    for (const route of ['ruled', 'honour']) {
      expect((await get(`/${route}/hit`)).member).toEqual(miss);
      const hit = await get(`/${route}/hit`);
      const maxAge = Number(/max-age=(\d+)/.exec(hit.field('cache-control') ?? '')?.[1]);
      const left = maxAge - Number(hit.field('age'));
      expect(hit.member).toEqual({ hit: true, ttl: expect.any(Number), detail: 'memory' });
      expect(Math.abs(Number(hit.member['ttl']) - left)).toBeLessThanOrEqual(1);
      expect(left).toBeGreaterThan(route === 'ruled' ? 3590 : 50);
    }
  });

  it('is a hit where a 304, 206, 416 or the head alone is made of what is stored', async () => {
    await get('/ruled/parts');
    const hit = { hit: true, ttl: expect.any(Number), detail: 'memory' };
    const parts: readonly (readonly [number, Ask])[] = [
      [304, { headers: { 'if-none-match': '"v1"' } }],
      [206, { headers: { range: 'bytes=0-1' } }],
      [416, { headers: { range: 'bytes=900-' } }],
      [200, { method: 'HEAD' }],
    ];
    for (const [status, options] of parts) {
      const reply = await get('/ruled/parts', options);
      expect([reply.status, reply.member]).toEqual([status, hit]);
    }
  });

  it('says 200 of upstream where a 304, 206 or 416 is made of what was just fetched', async () => {
    const fetched = { ...miss, 'fwd-status': 200 };
    const condition = await get('/ruled/new-304', { headers: { 'if-none-match': '"v1"' } });
    const part = await get('/ruled/new-206', { headers: { range: 'bytes=0-1' } });
    const none = await get('/ruled/new-416', { headers: { range: 'bytes=900-' } });
    const answers = [condition, part, none].map(({ status, member }) => [status, member]);
    expect(answers).toEqual([
      [304, fetched],
      [206, fetched],
      [416, fetched],
    ]);
  });

  it('is forwarded where a HEAD or a condition goes upstream for itself, and nothing is stored', async () => {
    const head = await get('/honour/head', { method: 'HEAD' });
    expect([head.status, head.member]).toEqual([200, { fwd: 'uri-miss', detail: expect.any(String) }]);
    const condition = await get('/honour/condition', { headers: { 'if-none-match': '"v1"' } });
    expect([condition.status, condition.member]).toEqual([304, { fwd: 'uri-miss', detail: expect.any(String) }]);
  });

  it('is a hit with a negative ttl while what is stale may be given', async () => {
    await get('/swr/a');
    await expect.poll(async () => Number((await get('/swr/a')).member['ttl'] ?? 0)).toBeLessThan(0);
    const stale = (await get('/swr/a')).member;
    expect(stale).toEqual({ hit: true, ttl: expect.any(Number), detail: 'memory' });
  });

  it('is stale and 304 upstream where it was validated', async () => {
    await get('/short/a');
    const answers = await polled('/short/a', (member) => member['fwd'] === 'stale');
    expect(answers).toEqual({ fwd: 'stale', 'fwd-status': 304, stored: true });
  });

  it('is stale with what upstream answered where it failed', async () => {
    await get('/sie/a');
    later.set('/sie/a', (request, peer) => say(request, peer, 503));
    expect(await polled('/sie/a', (member) => member['fwd'] === 'stale')).toEqual({
      fwd: 'stale',
      'fwd-status': 503,
      ttl: expect.any(Number),
      detail: 'stale-error',
    });
  });

  it('is stale where upstream has not answered within softTimeout', async () => {
    await get('/soft/a');
    const held = Promise.withResolvers<void>();
    later.set('/soft/a', (request, peer) => held.promise.then(() => say(request, peer, 200)));
    const member = await polled('/soft/a', ({ fwd }) => fwd === 'stale');
    held.resolve();
    expect(member).toEqual({ fwd: 'stale', ttl: expect.any(Number), detail: 'soft-timeout' });
  });

  it('names a miss of a variant, and a request that wants nothing stored', async () => {
    const [de, fr] = [{ 'accept-language': 'de' }, { 'accept-language': 'fr' }];
    expect((await get('/honour/vary', { headers: de })).member).toEqual(miss);
    expect((await get('/honour/vary', { headers: fr })).member).toEqual({ fwd: 'vary-miss', stored: true });
    const reload = await get('/honour/vary', { headers: { ...de, 'cache-control': 'no-cache' } });
    expect(reload.member).toEqual({ fwd: 'request', 'fwd-status': 304, stored: true });
  });

  it('says collapsed of who waited for the fetch of another', async () => {
    const held = Promise.withResolvers<void>();
    seen.set('/ruled/both', 1);
    later.set('/ruled/both', (request, peer) => held.promise.then(() => say(request, peer, 200)));
    const before = origin.requests.length;
    const first = get('/ruled/both');
    await origin.arrived(before + 1);
    const second = get('/ruled/both');
    await expect.poll(requestsInFlight).toBe(2);
    held.resolve();
    const members = [(await first).member, (await second).member];
    expect(members).toEqual([miss, { ...miss, collapsed: true }]);
    expect(origin.requests).toHaveLength(before + 1);
  });

  it('names bypass and method where a request is relayed', async () => {
    expect((await get('/live/a')).member).toEqual({ fwd: 'bypass' });
    expect((await get('/ruled/a', { headers: { cookie: 'a=b' } })).member).toEqual({ fwd: 'bypass' });
    expect((await get('/ruled/a', { method: 'POST', body: 'x' })).member).toEqual({ fwd: 'method' });
    expect((await get('/ruled/a', { method: 'DELETE' })).member).toEqual({ fwd: 'method' });
  });

  it('says why an answer that is passed on in pieces is not stored', async () => {
    const passed = await get('/small/a');
    expect([passed.text, passed.member]).toEqual(['content of upstream', { fwd: 'uri-miss', detail: 'too-large' }]);
  });

  it('stands behind those of caches nearer to the origin, of which one may be another Forecache', async () => {
    for (const target of ['/honour/behind', '/live/behind']) {
      for (let turn = 0; turn < 2; turn += 1) {
        const members = membersOf((await get(target)).field('cache-status') ?? '');
        expect(members.map(([name]) => name)).toEqual(['edge', 'forecache', 'forecache']);
        expect(members[0]?.[1]).toEqual({ hit: true, ttl: 5 });
      }
    }
    // Where rules decide, what upstream's cache did is no concern of the agent (decision 6).
    expect(membersOf((await get('/ruled/behind')).field('cache-status') ?? '')).toHaveLength(1);
  });

  it('shows the key as a string where the route says so', async () => {
    const key = `shown|/shown/a?q=${encodeURIComponent('a"b')}`;
    expect((await get('/shown/a?q=a%22b')).member).toEqual({ ...miss, key });
    expect((await get('/shown/a?q=a%22b')).member).toMatchObject({ hit: true, key });
    expect((await get('/ruled/unshown')).member).not.toHaveProperty('key');
    const none = await get('/shown/none', { headers: { 'cache-control': 'only-if-cached' } });
    expect(none.member).toHaveProperty('key', 'shown|/shown/none');
  });

  it('is that of any other hit where the content of a QUERY is in the key', async () => {
    expect((await get('/queried', query('{"a":1,"b":2}'))).member).toEqual(miss);
    expect((await get('/queried', query('{"b":2, "a":1.0}'))).member).toMatchObject({ hit: true, detail: 'memory' });
    const large = await get('/queried', query(`"${'x'.repeat(100)}"`));
    expect([large.status, large.member]).toEqual([413, { detail: 'content-too-large' }]);
  });

  it('says how upstream failed where there is nothing to give', async () => {
    const failures = ['/ruled/closes', '/ruled/breaks', '/ruled/silent', '/gone/a'].map(async (target) => {
      const { status, member } = await get(target);
      return [status, member];
    });
    expect(await Promise.all(failures)).toEqual([
      [502, { fwd: 'uri-miss', detail: 'reset' }],
      [502, { fwd: 'uri-miss', 'fwd-status': 200, detail: 'truncated' }],
      [504, { fwd: 'uri-miss', detail: 'timeout' }],
      [502, { fwd: 'uri-miss', detail: 'connect' }],
    ]);
    const relayed = ['/live/closes', '/live/silent', '/gone-live/a'].map(async (target) => {
      const { status, member } = await get(target);
      return [status, member];
    });
    expect(await Promise.all(relayed)).toEqual([
      [502, { fwd: 'bypass', detail: 'reset' }],
      [504, { fwd: 'bypass', detail: 'timeout' }],
      [502, { fwd: 'bypass', detail: 'connect' }],
    ]);
  });

  it('is neither hit nor forwarded where the proxy refuses a request that it could read', async () => {
    const refusals: readonly (readonly [number, string, string, Ask?])[] = [
      [404, 'route-not-found', '/nowhere'],
      [400, 'parameter-invalid', '/ruled/a?n=x'],
      [400, 'content-not-allowed', '/ruled/a', { headers: { 'content-length': '1' }, body: 'x' }],
      [413, 'content-too-large', '/live/a', { method: 'POST', body: 'x'.repeat(1001) }],
      [414, 'target-too-long', `/ruled/${'x'.repeat(200)}`],
      [417, 'expectation-failed', '/ruled/a', { headers: { expect: 'wonders' } }],
      [504, 'not-stored', '/honour/unseen', { headers: { 'cache-control': 'only-if-cached' } }],
    ];
    for (const [status, detail, target, options] of refusals) {
      const reply = await get(target, options);
      expect([target, reply.status, reply.member]).toEqual([target, status, { detail }]);
    }
  });

  it('is there also where no request could be read', async () => {
    const unread = await Promise.all([
      raw('GET /ruled/a HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n'),
      raw('GET /ruled/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'),
      raw(`GET /ruled/a HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(3000)}\r\n\r\n`),
      raw('GET /ruled/a HTTP/1.1\r\nHost: a\r\n'),
      raw('CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'),
    ]);
    expect(unread.map(([status]) => status)).toEqual([400, 400, 431, 408, 405]);
    for (const [, member] of unread) expect(Object.keys(member)).toEqual(['detail']);
  });
});

/** Asks until our member is as wanted; what is stored for a millisecond may still be fresh. */
async function polled(target: string, wanted: (member: Parameters) => boolean): Promise<Parameters> {
  let last: Parameters = {};
  await expect
    .poll(async () => {
      last = (await get(target)).member;
      return wanted(last);
    })
    .toBe(true);
  return last;
}

async function requestsInFlight(): Promise<number> {
  const { text } = await ask(program.admin, '/metrics');
  return Number(/^forecache_requests_in_flight (\d+)$/m.exec(text)?.[1]);
}
