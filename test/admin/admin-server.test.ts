import { afterEach, describe, expect, it } from 'vitest';
import { ok, refused } from '../../src/core/problem.ts';
import { ask, completePurge, post, sendRaw, startAdmin, stopAdmins } from '../support/admin.ts';

afterEach(stopAdmins);

function names(count: number): readonly string[] {
  return Array.from({ length: count }, (_none, n) => `n${n}`);
}

function named(count: number): object {
  return Object.fromEntries(names(count).map((name) => [name, '1']));
}

function sets(count: number): object {
  return { route: 'weather', with: names(count).map(() => ({})) };
}

describe('health', () => {
  it('is always told, readiness only when ready', async () => {
    let state: 'starting' | 'ready' | 'draining' = 'starting';
    const { port } = await startAdmin({ services: { state: () => state } });
    expect(await ask(port, '/healthz')).toMatchObject({ status: 200, json: { status: 'ok' } });
    expect(await ask(port, '/readyz')).toMatchObject({ status: 503, json: { state: 'starting' } });
    state = 'ready';
    expect(await ask(port, '/readyz')).toMatchObject({ status: 200, json: { state: 'ready' } });
    state = 'draining';
    expect(await ask(port, '/readyz')).toMatchObject({ status: 503, json: { state: 'draining' } });
    expect((await ask(port, '/healthz')).status).toBe(200);
  });

  it('is told before the rest works, which says so', async () => {
    const { port, calls } = await startAdmin({ services: { state: () => 'starting' } });
    const purge = await post(port, '/api/purge', { all: true });
    expect(purge).toMatchObject({ status: 503, json: { type: 'urn:forecache:problem:starting' } });
    expect(purge.headers['retry-after']).toBe('1');
    expect((await ask(port, '/a', { method: 'PURGE' })).status).toBe(503);
    expect((await ask(port, '/api/stored')).status).toBe(503);
    expect((await ask(port, '/metrics')).status).toBe(200);
    expect(calls).toEqual([]);
  });
});

describe('purging', () => {
  it.each([
    [{ key: 'k' }, { by: 'key', key: 'k' }],
    [{ url: '/a?b=c' }, { by: 'url', url: '/a?b=c' }],
    [{ route: 'weather' }, { by: 'route', route: 'weather' }],
    [{ tag: 'location:lima' }, { by: 'tags', tags: ['location:lima'] }],
    [{ tags: ['a', 'b'] }, { by: 'tags', tags: ['a', 'b'] }],
    [{ prefix: '/weather' }, { by: 'prefix', prefix: '/weather' }],
    [{ all: true }, { by: 'all' }],
  ])('understands %j', async (body, selector) => {
    const { port, calls } = await startAdmin();
    const answer = await post(port, '/api/purge', body);
    expect(answer).toMatchObject({ status: 200, json: completePurge });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(calls).toEqual([['purge', { selector, soft: false, dryRun: false, source: 'api' }]]);
  });

  it('passes soft and dryRun on', async () => {
    const { port, calls } = await startAdmin();
    await post(port, '/api/purge', { all: true, soft: true, dryRun: true });
    expect(calls).toEqual([['purge', { selector: { by: 'all' }, soft: true, dryRun: true, source: 'api' }]]);
  });

  it.each([
    ['no selector', {}],
    ['only an option', { soft: true }],
    ['two selectors', { key: 'k', url: '/a' }],
    ['a tag and tags', { tag: 'a', tags: ['b'] }],
    ['an unknown member', { all: true, force: true }],
    ['a misspelt selector', { tgas: ['a'] }],
    ['all that is not true', { all: false }],
    ['all that is a word', { all: 'true' }],
    ['a number for a key', { key: 7 }],
    ['an empty key', { key: '' }],
    ['null', { key: null }],
    ['a list for a tag', { tag: ['a'] }],
    ['an empty list', { tags: [] }],
    ['a list of others', { tags: ['a', 1] }],
    ['a relative prefix', { prefix: 'weather' }],
    ['soft that is a word', { all: true, soft: 'no' }],
    ['dryRun that is a number', { all: true, dryRun: 1 }],
    ['control characters', { key: 'a\nb' }],
    ['a control character past ASCII', { key: 'a\u0085b' }],
    ['half a character', { key: '\ud800' }],
    ['an endless key', { key: 'k'.repeat(8193) }],
    ['too many tags', { tags: Array.from({ length: 1001 }, (_none, n) => `t${n}`) }],
    ['a list', []],
    ['a text', 'all'],
    ['nothing', null],
  ])('refuses %s', async (_what, body) => {
    const { port, calls } = await startAdmin();
    const answer = await post(port, '/api/purge', body);
    expect(answer).toMatchObject({ status: 400, json: { type: 'urn:forecache:problem:body-invalid', status: 400 } });
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(calls).toEqual([]);
  });

  it.each(['{"all":true', '{"__proto__":{"all":true}}', '\u00ff', '{"all":true}{}', ''])(
    'refuses content that is no fitting JSON: %j',
    async (text) => {
      const { port, calls } = await startAdmin();
      const body = Buffer.from(text, 'latin1');
      const headers = { 'content-type': 'application/json' };
      expect((await ask(port, '/api/purge', { method: 'POST', headers, body })).status).toBe(400);
      expect(calls).toEqual([]);
    },
  );

  it.each([
    ['/api/purge', '{"route":"a","route":"b"}'],
    ['/api/purge', '{"all":true,"dryRun":true,"dry\\u0052un":false}'],
    ['/api/warm', '{"route":"weather","with":[{"city":"lima","city":"cusco"}]}'],
    ['/api/explain', '{"url":"/a","headers":{"accept":"a/b","accept":"c/d"}}'],
  ])('refuses content of %s that names a member twice: %s', async (path, body) => {
    const { port, calls } = await startAdmin();
    const headers = { 'content-type': 'application/json' };
    expect(await ask(port, path, { method: 'POST', headers, body: Buffer.from(body) })).toMatchObject({
      status: 400,
      json: {
        type: 'urn:forecache:problem:body-invalid',
        detail: 'The content names a member of an object twice, which readers resolve in different ways.',
      },
    });
    expect(calls).toEqual([]);
  });

  it('answers 202 with when it is complete where it is not, and whatever problem the purger has, either way', async () => {
    const pending = { complete: false, missing: ['b'], completeBy: '2026-11-23T12:05:00.000Z' };
    const incomplete = await startAdmin({
      services: { purge: async () => ok({ ...completePurge, ...pending }) },
    });
    for (const answer of [
      await post(incomplete.port, '/api/purge', { all: true }),
      await ask(incomplete.port, '/a', { method: 'PURGE' }),
    ]) {
      expect(answer).toMatchObject({ status: 202, json: pending });
    }
    const impossible = await startAdmin({
      services: {
        purge: async () =>
          refused({ status: 503, code: 'purge-unsure', title: 'Unsure', detail: 'Repeat it.', retryAfter: 2 }),
      },
    });
    for (const answer of [
      await post(impossible.port, '/api/purge', { all: true }),
      await ask(impossible.port, '/a', { method: 'PURGE' }),
    ]) {
      expect(answer).toMatchObject({
        status: 503,
        json: { type: 'urn:forecache:problem:purge-unsure', retryAfter: 2 },
      });
      expect(answer.headers['retry-after']).toBe('2');
    }
  });

  it('goes by method too, for any path, byte for byte', async () => {
    const { port, calls } = await startAdmin();
    const answer = await ask(port, '/weather/forecast?location=S%C3%A3o%20Paulo', { method: 'PURGE' });
    expect(answer).toMatchObject({ status: 200, json: { complete: true } });
    await ask(port, '/api/purge', { method: 'PURGE' });
    expect(calls.map(([, command]) => command)).toEqual(
      ['/weather/forecast?location=S%C3%A3o%20Paulo', '/api/purge'].map((url) => ({
        selector: { by: 'url', url },
        soft: false,
        dryRun: false,
        source: 'method',
      })),
    );
  });
});

describe('warming, explaining and listing', () => {
  it('warms a route with parameters, or locations', async () => {
    const { port, calls } = await startAdmin();
    const answer = await post(port, '/api/warm', {
      route: 'weather',
      with: [{ location: 'lima', days: 7, hourly: true }],
    });
    expect(answer).toMatchObject({ status: 200, json: { fetched: 1, reused: 0, failed: 0 } });
    await post(port, '/api/warm', { locations: ['berlin', 'new york'] });
    expect(calls).toEqual([
      ['warm', { kind: 'route', route: 'weather', with: [{ location: 'lima', days: '7', hourly: 'true' }] }],
      ['warm', { kind: 'locations', locations: ['berlin', 'new york'] }],
    ]);
  });

  it.each([
    {},
    { route: 'weather' },
    { route: 'weather', with: [] },
    { route: 'weather', with: {} },
    { route: 'weather', with: [{ location: ['a'] }] },
    { route: 'weather', with: [{ location: null }] },
    { route: 'weather', with: [{ location: 'a\r\n' }] },
    { with: [{}] },
    { locations: [] },
    { locations: ['a'], with: [{}] },
    { locations: ['a'], route: 'weather' },
    { locations: 'berlin' },
    { location: 'berlin' },
  ])('refuses to warm %j', async (body) => {
    const { port, calls } = await startAdmin();
    expect((await post(port, '/api/warm', body)).status).toBe(400);
    expect(calls).toEqual([]);
  });

  it('takes as much as may be given, and not one more', async () => {
    const { port } = await startAdmin();
    for (const [path, within, past] of [
      ['/api/purge', { key: 'k'.repeat(8192) }, { key: 'k'.repeat(8193) }],
      ['/api/purge', { tags: names(1000) }, { tags: names(1001) }],
      ['/api/warm', sets(1000), sets(1001)],
      ['/api/warm', { route: 'weather', with: [named(100)] }, { route: 'weather', with: [named(101)] }],
      ['/api/explain', { url: '/a', headers: named(100) }, { url: '/a', headers: named(101) }],
    ] as const) {
      expect((await post(port, path, within)).status).toBe(200);
      expect((await post(port, path, past)).status).toBe(400);
    }
    expect((await ask(port, '/api/stored?limit=1000')).status).toBe(200);
  });

  it('explains a request', async () => {
    const { port, calls } = await startAdmin();
    const headers = { Accept: '*/*', 'X-Empty': '' };
    const body = { url: '/weather?location=Berlin', listener: 'internal', method: 'HEAD', headers };
    expect(await post(port, '/api/explain', body)).toMatchObject({
      status: 200,
      json: { decision: { would: 'miss' } },
    });
    await post(port, '/api/explain', { url: '/a' });
    const supposed = { url: '/a', response: { status: 999, headers: { 'Cache-Control': 'max-age=60' } } };
    await post(port, '/api/explain', supposed);
    await post(port, '/api/explain', { url: '/a', response: { status: 200 } });
    expect(calls).toEqual([
      ['explain', body],
      ['explain', { url: '/a' }],
      ['explain', supposed],
      ['explain', { url: '/a', response: { status: 200 } }],
    ]);
  });

  it.each([
    {},
    { url: 7 },
    { url: '' },
    { url: '/a', listener: '' },
    { url: '/a', listener: ['default'] },
    { url: '/a', method: 'GET /b' },
    { url: '/a', method: 5 },
    { url: '/a', headers: [] },
    { url: '/a', headers: { 'a b': 'c' } },
    { url: '/a', headers: { a: 'b\r\nc: d' } },
    { url: '/a', headers: { a: 1 } },
    { url: '/a', body: 1 },
    { url: '/a', data: '' },
    { url: '/a', response: 200 },
    { url: '/a', response: {} },
    { url: '/a', response: { status: '200' } },
    { url: '/a', response: { status: 103 } },
    { url: '/a', response: { status: 1000 } },
    { url: '/a', response: { status: 200.5 } },
    { url: '/a', response: { status: 200, headers: [] } },
    { url: '/a', response: { status: 200, headers: { 'a b': 'c' } } },
    { url: '/a', response: { status: 200, body: '' } },
  ])('refuses to explain %j', async (body) => {
    const { port, calls } = await startAdmin();
    expect((await post(port, '/api/explain', body)).status).toBe(400);
    expect(calls).toEqual([]);
  });

  it('lists what is stored, without fields and bodies', async () => {
    const { port, calls } = await startAdmin();
    const answer = await ask(port, '/api/stored?route=weather&tag=location%3Aberlin&limit=5');
    expect(answer).toMatchObject({
      status: 200,
      json: {
        limit: 5,
        stored: [
          {
            kind: 'response',
            key: 'weather|/weather?location=berlin',
            route: 'weather',
            upstream: 'met',
            url: '/weather?location=berlin',
            tags: ['route:weather', 'location:berlin'],
            tier: 'memory',
            status: 200,
            age: 60,
            ttl: 3540,
            size: 512,
            hits: 4,
            staleSince: null,
          },
        ],
      },
    });
    expect(answer.text).not.toContain('canary');
    await ask(port, '/api/stored?route=&tag=&limit=');
    expect(calls).toEqual([
      ['list', { limit: 5, route: 'weather', tag: 'location:berlin' }],
      ['list', { limit: 100 }],
    ]);
  });

  it.each([
    'limit=0',
    'limit=1001',
    'limit=1e2',
    'limit=-1',
    'limit=5&limit=6',
    'page=2',
    'tag=a&tag=b',
    '__proto__=1',
  ])('refuses to list by %s', async (query) => {
    const { port, calls } = await startAdmin();
    expect(await ask(port, `/api/stored?${query}`)).toMatchObject({
      status: 400,
      json: { type: 'urn:forecache:problem:query-invalid' },
    });
    expect(calls).toEqual([]);
  });
});

describe('metrics', () => {
  it('come as JSON, which can be reset, and for Prometheus', async () => {
    const { port, calls, clock } = await startAdmin();
    expect(await ask(port, '/api/metrics/cache')).toMatchObject({ status: 200, json: { requests: 0, hit_rate: 0 } });
    clock.advance(1000);
    const reset = await ask(port, '/api/metrics/cache/reset', { method: 'POST' });
    expect(reset).toMatchObject({ status: 200, json: { since: '2026-11-23T12:00:01.000Z' } });
    expect((await post(port, '/api/metrics/cache/reset', {})).status).toBe(200);
    expect(calls).toHaveLength(2);
    const metrics = await ask(port, '/metrics');
    expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(metrics.text).toContain('# TYPE forecache_requests_total counter');
  });

  it('are reset for a fleet, with the names of those that have not heard of it', async () => {
    const { port } = await startAdmin({ services: { resetMetrics: async () => ok({ missing: ['b'] }) } });
    const answer = await post(port, '/api/metrics/cache/reset', {});
    expect(answer).toMatchObject({ status: 200, json: { requests: 0, missing: ['b'] } });
  });

  it('are not said to be reset where that cannot be guaranteed', async () => {
    const problem = { status: 503, code: 'counters-unavailable', title: 'No', detail: 'No Redis.', retryAfter: 1 };
    const { port } = await startAdmin({ services: { resetMetrics: async () => refused(problem) } });
    const answer = await post(port, '/api/metrics/cache/reset', {});
    expect(answer).toMatchObject({ status: 503, json: { type: 'urn:forecache:problem:counters-unavailable' } });
    expect(answer.headers['retry-after']).toBe('1');
  });
});

describe('the listener', () => {
  it('knows its paths and methods', async () => {
    const { port } = await startAdmin();
    expect(await ask(port, '/nothing')).toMatchObject({ status: 404, json: { status: 404 } });
    expect((await ask(port, '/api/purge/')).status).toBe(404);
    expect((await ask(port, '/constructor')).status).toBe(404);
    const wrong = await ask(port, '/api/purge');
    expect(wrong.status).toBe(405);
    expect(wrong.headers['allow']).toBe('POST, PURGE');
    const removed = await ask(port, '/metrics', { method: 'DELETE' });
    expect(removed.headers['allow']).toBe('GET, HEAD, PURGE');
    expect((await ask(port, '/metrics', { method: 'OPTIONS' })).status).toBe(405);
  });

  it('takes targets in absolute form, whose authority stands in the place of Host', async () => {
    const { port, calls } = await startAdmin();
    const asked = (target: string, host: string): Promise<string> =>
      sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect(await asked('http://127.0.0.1:9090/readyz', '127.0.0.1:9090')).toMatch(/^HTTP\/1\.1 200 /);
    expect(await asked('HTTP://localhost/api/stored?limit=7', 'evil.test')).toMatch(/^HTTP\/1\.1 200 /);
    expect(calls).toEqual([['list', { limit: 7 }]]);
    expect(await asked('http://127.0.0.1', '127.0.0.1')).toMatch(/^HTTP\/1\.1 200 /);
    expect(await asked('http://evil.test/metrics', '127.0.0.1')).toMatch(/^HTTP\/1\.1 403 /);
    expect(await asked('http://127.0.0.1/nowhere', '127.0.0.1')).toMatch(/^HTTP\/1\.1 404 /);
  });

  it('answers HEAD as GET, without the body', async () => {
    const { port } = await startAdmin();
    for (const path of ['/', '/healthz', '/api/stored', '/metrics', '/openapi.json']) {
      const head = await ask(port, path, { method: 'HEAD' });
      expect(head.status).toBe(200);
      expect(head.text).toBe('');
      expect(Number(head.headers['content-length'])).toBeGreaterThan(10);
    }
    expect((await ask(port, '/api/purge', { method: 'HEAD' })).status).toBe(405);
  });

  it('takes content of 64 KiB and no more, announced or not', async () => {
    const { port, calls } = await startAdmin();
    const headers = { 'content-type': 'application/json' };
    const fitting = `{"all":true${' '.repeat(64 * 1024 - 12)}}`;
    expect((await ask(port, '/api/purge', { method: 'POST', headers, body: fitting })).status).toBe(200);
    const chunked = { ...headers, 'transfer-encoding': 'chunked' };
    expect((await ask(port, '/api/purge', { method: 'POST', headers: chunked, body: fitting })).status).toBe(200);
    const tooLong = `{"all":true${' '.repeat(64 * 1024 - 11)}}`;
    for (const framing of [headers, chunked]) {
      const answer = await ask(port, '/api/purge', { method: 'POST', headers: framing, body: tooLong });
      expect(answer).toMatchObject({ status: 413, json: { limit: 65_536 } });
    }
    expect(calls).toHaveLength(2);
  });

  it.each([
    ['that is announced as much too long', 413, 'application/json', 'Content-Length: 99999999999\r\n\r\n{'],
    [
      'that is much too long and goes on',
      413,
      'application/json',
      `Transfer-Encoding: chunked\r\n\r\n200000\r\n${' '.repeat(1024 * 1024 + 1)}`,
    ],
    ['that it does not take and that may go on', 415, 'text/plain', 'Transfer-Encoding: chunked\r\n\r\n5\r\nbegin'],
  ])('does not wait for content %s: it answers, and the connection ends', async (_what, status, type, rest) => {
    // Whatever waits for the rest waits for longer than the test does.
    const { port } = await startAdmin({ limits: { requestMs: 60_000 } });
    const answer = await sendRaw(
      port,
      `POST /api/purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n${rest}`,
    );
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/^connection: close\r$/im);
  });

  it('takes no content that is not UTF-8, in which a tag would be another', async () => {
    const { port, calls } = await startAdmin();
    const body = Buffer.from('{"tag":"a\u00ff"}', 'latin1');
    const answer = await ask(port, '/api/purge', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect([answer.status, calls]).toEqual([400, []]);
  });

  it('takes no other content types or codings', async () => {
    const { port, calls } = await startAdmin();
    const body = '{"all":true}';
    for (const headers of [
      {},
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'application/jsonp' },
      { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    ]) {
      expect((await ask(port, '/api/purge', { method: 'POST', headers, body })).status).toBe(415);
    }
    const headers = { 'content-type': 'Application/JSON; charset=utf-8' };
    expect((await ask(port, '/api/purge', { method: 'POST', headers, body })).status).toBe(200);
    expect(calls).toHaveLength(1);
  });

  it('survives what fails inside, and tells only the log', async () => {
    const { port, errors } = await startAdmin({ services: { warm: () => Promise.reject(new Error('canary')) } });
    const answer = await post(port, '/api/warm', { locations: ['a'] });
    expect(answer).toMatchObject({ status: 500, json: { type: 'urn:forecache:problem:internal' } });
    expect(answer.text).not.toContain('canary');
    expect(errors).toEqual([{ error: expect.objectContaining({ message: 'canary' }), method: 'POST' }]);
    expect((await ask(port, '/healthz')).status).toBe(200);
  });

  it.each([
    ['two Hosts', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n'],
    ['no Host', 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['two lengths', 'POST /api/purge HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['both framings', 'POST /api/purge HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a bare line feed', 'GET /healthz HTTP/1.1\nHost: a\n\n'],
    ['HTTP/0.9', 'GET /healthz\r\n\r\n'],
    ['an odd version', 'GET /healthz HTTP/3.7\r\nHost: a\r\n\r\n'],
  ])('refuses %s', async (_what, bytes) => {
    const { port } = await startAdmin();
    expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('refuses a head past its limit', async () => {
    const { port } = await startAdmin();
    const bytes = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`;
    expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('goes on when a client goes in the middle of its content', async () => {
    const { port, calls, errors } = await startAdmin();
    const { connect } = await import('node:net');
    await new Promise<void>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port });
      const head =
        'POST /api/purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{';
      socket.write(head, () => {
        socket.once('close', () => resolve());
        socket.resetAndDestroy();
      });
    });
    expect((await ask(port, '/healthz')).status).toBe(200);
    expect(calls).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('says no to a port that is taken', async () => {
    const { port } = await startAdmin();
    const { createAdminServer } = await import('../../src/admin/admin-server.ts');
    const { clock } = await startAdmin();
    const second = createAdminServer({
      config: { host: '127.0.0.1', port, token: undefined, maxBodyBytes: 64 * 1024 },
      services: Object.create(null),
      clock,
      log: { error: () => undefined },
      version: '1',
    });
    await expect(second.listen()).rejects.toThrow('EADDRINUSE');
    await second.close();
  });

  it('keeps no listener of the answers that a kept connection has had', async () => {
    const { port } = await startAdmin();
    const { connect } = await import('node:net');
    const warnings: Error[] = [];
    const hear = (warning: Error): void => void warnings.push(warning);
    process.on('warning', hear);
    const socket = connect({ host: '127.0.0.1', port });
    for (let turn = 0; turn < 15; turn += 1) {
      await new Promise<void>((resolve) => {
        socket.once('data', () => resolve());
        socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      });
    }
    socket.destroy();
    // Warnings are emitted on the next tick.
    await new Promise((resolve) => void setImmediate(resolve));
    process.off('warning', hear);
    expect(warnings).toEqual([]);
  });

  it('closes although a call has not ended', async () => {
    const never = Promise.withResolvers<never>();
    const { port, server } = await startAdmin({
      services: { prometheus: () => never.promise },
      limits: { closeMs: 50 },
    });
    const cut = ask(port, '/metrics').catch(String);
    await expect.poll(() => ask(port, '/healthz').then(({ status }) => status)).toBe(200);
    await server.close();
    expect(await cut).toContain('socket hang up');
  });

  it('closes although a client keeps its connection', async () => {
    const { port, server } = await startAdmin();
    const { connect } = await import('node:net');
    const socket = connect({ host: '127.0.0.1', port });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    await new Promise<void>((resolve) => {
      socket.once('data', () => resolve());
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    });
    await server.close();
    await closed;
    await expect(ask(port, '/healthz')).rejects.toThrow('ECONNREFUSED');
  });
});
