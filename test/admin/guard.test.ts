import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createGuard } from '../../src/admin/guard.ts';
import { ask, sendRaw, startAdmin, stopAdmins, type Question } from '../support/admin.ts';

afterEach(stopAdmins);

const token = 'correct horse battery staple'.replaceAll(' ', '-');

describe('with a token', () => {
  it.each(['/metrics', '/api/metrics/cache', '/api/stored', '/openapi.json', '/nothing', '/api/purge'])(
    '%s is only for who has it',
    async (path) => {
      const { port } = await startAdmin({ token });
      const without = await ask(port, path);
      expect(without).toMatchObject({ status: 401, json: { type: 'urn:forecache:problem:unauthorised' } });
      expect(without.headers['www-authenticate']).toBe('Bearer realm="forecache"');
      const wrong = await ask(port, path, { headers: { authorization: 'Bearer wrong' } });
      expect(wrong.status).toBe(401);
      expect(wrong.headers['www-authenticate']).toBe('Bearer realm="forecache", error="invalid_token"');
      expect(wrong.text).not.toContain('wrong');
      const right = await ask(port, path, { headers: { authorization: `Bearer ${token}` } });
      expect([200, 404, 405]).toContain(right.status);
    },
  );

  it.each([
    ['POST', '/api/purge'],
    ['POST', '/api/warm'],
    ['POST', '/api/explain'],
    ['POST', '/api/metrics/cache/reset'],
    ['PURGE', '/weather'],
  ])('%s %s is only for who has it', async (method, path) => {
    const { port, calls } = await startAdmin({ token });
    const question: Question = { method, headers: { 'content-type': 'application/json' }, body: '{"all":true}' };
    expect((await ask(port, path, question)).status).toBe(401);
    expect(calls).toEqual([]);
  });

  it.each([
    token,
    `Basic ${btoa(`x:${token}`)}`,
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Bearer ${token.toUpperCase()}`,
    `Bearer ${token} ${token}`,
    `Bearer${token}`,
    'Bearer',
    'Bearer ',
    '',
  ])('%j is not enough', async (authorization) => {
    const { port } = await startAdmin({ token });
    expect((await ask(port, '/metrics', { headers: { authorization } })).status).toBe(401);
  });

  it('takes the scheme in any case', async () => {
    const { port } = await startAdmin({ token });
    expect((await ask(port, '/metrics', { headers: { authorization: `bearer ${token}` } })).status).toBe(200);
  });

  it('lets probes and the page in, which hold no data', async () => {
    const { port } = await startAdmin({ token });
    for (const path of ['/healthz', '/readyz', '/', '/dashboard.js', '/dashboard.css']) {
      expect((await ask(port, path)).status).toBe(200);
    }
  });

  it('is reached under any name, since a page that rebinds one has no token', async () => {
    const { port } = await startAdmin({ token });
    const headers = { host: 'forecache.internal', authorization: `Bearer ${token}` };
    expect((await ask(port, '/metrics', { headers })).status).toBe(200);
  });
});

describe('without a token', () => {
  it.each(['127.0.0.1:9090', '127.0.0.1', 'localhost:9090', 'LOCALHOST', '[::1]:9090', '10.1.2.3'])(
    'Host %s is let in',
    async (host) => {
      const { port } = await startAdmin();
      expect((await ask(port, '/metrics', { headers: { host } })).status).toBe(200);
    },
  );

  it.each([
    'evil.test',
    'evil.test:9090',
    '127.0.0.1.evil.test',
    'localhost.evil.test',
    'user@127.0.0.1',
    '127.0.0.1:x',
  ])('Host %j is not let in, since a page may have pointed it here', async (host) => {
    const { port, calls } = await startAdmin();
    for (const question of [
      { headers: { host } },
      { method: 'PURGE', headers: { host } },
      { method: 'POST', headers: { host, 'content-type': 'application/json' }, body: '{"all":true}' },
    ]) {
      const answer = await ask(port, '/api/purge', question);
      expect(answer).toMatchObject({ status: 403, json: { type: 'urn:forecache:problem:host-not-allowed' } });
    }
    expect(calls).toEqual([]);
    expect((await ask(port, '/readyz', { headers: { host } })).status).toBe(200);
  });

  it('a Host that is empty is not let in either', async () => {
    const { port } = await startAdmin();
    expect(await sendRaw(port, 'GET /metrics HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 403 /,
    );
  });

  it('the name that the listener was given is let in', () => {
    const guard = createGuard({ token: undefined, host: 'Admin.Test' });
    const request = new IncomingMessage(new Socket());
    request.headers.host = 'admin.test:9090';
    expect(guard(request)).toBeUndefined();
    request.headers.host = 'other.test:9090';
    expect(guard(request)?.status).toBe(403);
  });

  it.each([
    { origin: 'https://evil.test' },
    { origin: 'http://127.0.0.1:1' },
    { origin: 'http://localhost:1' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: 'http://localhost:9090' },
  ])('a write from another site is refused: %j', async (headers) => {
    const { port, calls } = await startAdmin();
    const json = { host: 'localhost:9090', 'content-type': 'application/json', ...headers };
    const body = '{"all":true}';
    expect(await ask(port, '/api/purge', { method: 'POST', headers: json, body })).toMatchObject({
      status: 403,
      json: { type: 'urn:forecache:problem:cross-site' },
    });
    expect((await ask(port, '/a', { method: 'PURGE', headers: json })).status).toBe(403);
    expect((await ask(port, '/api/metrics/cache/reset', { method: 'POST', headers: json })).status).toBe(403);
    expect(calls).toEqual([]);
  });

  it.each(['127.0.0.1', 'LOCALHOST'])('a write from the dashboard is taken, at %s', async (name) => {
    const { port, calls } = await startAdmin();
    const host = `${name}:${port}`;
    const headers = {
      host,
      'content-type': 'application/json',
      origin: `http://${host.toLowerCase()}`,
      'sec-fetch-site': 'same-origin',
    };
    expect((await ask(port, '/api/purge', { method: 'POST', headers, body: '{"all":true}' })).status).toBe(200);
    expect(calls).toHaveLength(1);
  });

  it('a form of another site cannot write, even from a browser that says nothing', async () => {
    const { port, calls } = await startAdmin();
    const headers = { 'content-type': 'text/plain' };
    expect((await ask(port, '/api/purge', { method: 'POST', headers, body: '{"all":true}' })).status).toBe(415);
    expect(calls).toEqual([]);
  });

  it('nothing lets another site read the answers', async () => {
    const { port } = await startAdmin();
    const headers = { origin: 'https://evil.test' };
    for (const method of ['GET', 'OPTIONS']) {
      const answer = await ask(port, '/api/stored', { method, headers });
      expect(answer.status).toBe(method === 'GET' ? 200 : 403);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      expect(answer.headers['cross-origin-resource-policy']).toBe('same-origin');
      expect(answer.headers['x-content-type-options']).toBe('nosniff');
      expect(answer.headers['server']).toBe('forecache');
      expect(answer.headers['cache-control']).toBe('no-store');
    }
  });
});
