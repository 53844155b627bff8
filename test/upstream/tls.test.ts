import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, expect, test } from 'vitest';

import { systemClock } from '../../src/system-clock.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { selfSigned } from '../support/certificate.ts';
import { ask } from '../support/http.ts';
import { answer, startOrigin } from '../support/origin.ts';
import { startRelayHost } from '../support/relay-host.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const certificate = await selfSigned();
afterAll(() => certificate[Symbol.dispose]());

const ok = answer(200, { 'Content-Type': 'text/plain' }, 'over TLS');

async function outcome(url: string, caFile: string | undefined): Promise<string> {
  const upstreams = new Map([['api', upstreamConfig(url, { caFile })]]);
  await using client = createUpstreamClient({ upstreams, clock: systemClock, version: '1' });
  const canonical = { upstream: 'api', method: 'GET' as const, target: '/', fields: [] };
  const call = { canonical, fields: [], decode: true, purpose: 'interactive' as const };
  const received = await client.fetch(call, new AbortController().signal);
  if (received.kind === 'failure') return received.failure;
  const parts: Buffer[] = [];
  for await (const part of received.body.chunks()) parts.push(part);
  return Buffer.concat(parts).toString();
}

test('a certificate that nobody vouches for fails as tls, and is accepted with its authority in caFile', async () => {
  await using origin = await startOrigin(ok, { tls: { key: certificate.key, cert: certificate.cert } });
  expect(await outcome(origin.url, undefined)).toBe('tls');
  expect(origin.requests).toHaveLength(0);
  expect(await outcome(origin.url, certificate.certFile)).toBe('over TLS');
});

test('a certificate of another name fails as tls', async () => {
  await using origin = await startOrigin(ok, { tls: { key: certificate.key, cert: certificate.cert } });
  expect(await outcome(`https://127.0.0.1:${origin.port}`, certificate.certFile)).toBe('tls');
});

test('an upstream that does not speak TLS fails as tls', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  expect(await outcome(`https://127.0.0.1:${port}`, certificate.certFile)).toBe('tls');
  server.close();
  await once(server, 'close');
});

test.each(['before the answer', 'within the answer', 'from outside'])(
  'a reset is one over TLS too: %s',
  async (when) => {
    await using origin = await startOrigin(
      async (_request, peer) => {
        if (when === 'within the answer') await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
        if (when === 'from outside') origin.resetAll();
        else peer.reset();
      },
      { tls: { key: certificate.key, cert: certificate.cert } },
    );
    const client = connect({ port: origin.port, host: '127.0.0.1', servername: 'localhost', ca: certificate.cert });
    const received: Buffer[] = [];
    client.on('data', (data: Buffer) => received.push(data));
    const failed: Promise<unknown[]> = once(client, 'error');
    client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await failed).toMatchObject([{ code: 'ECONNRESET', syscall: 'read' }]);
    expect(Buffer.concat(received).length > 0).toBe(when === 'within the answer');
    await expect.poll(() => origin.openConnections).toBe(0);
  },
);

test('the relay makes the same difference', async () => {
  await using origin = await startOrigin(ok, { tls: { key: certificate.key, cert: certificate.cert } });
  await using strict = await startRelayHost({ config: upstreamConfig(origin.url) });
  await using trusting = await startRelayHost({ config: upstreamConfig(origin.url, { caFile: certificate.certFile }) });
  expect((await ask(`http://127.0.0.1:${strict.port}`, '/')).status).toBe(502);
  expect(strict.results[0]).toMatchObject({
    problem: 'upstream-unreachable',
    failure: 'tls',
    reason: 'the TLS handshake failed (DEPTH_ZERO_SELF_SIGNED_CERT)',
  });
  const reply = await ask(`http://127.0.0.1:${trusting.port}`, '/');
  expect(reply.status).toBe(200);
});

test('a handshake that outlasts the whole call is one limit that was hit, not two', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  const limits: string[] = [];
  const observer = { limit: (option: string) => void limits.push(option), brokenBody: () => {} };
  const config = upstreamConfig(`https://localhost:${address.port}`, { connectTimeoutMs: 300, totalTimeoutMs: 100 });
  const upstreams = new Map([['api', config]]);
  await using client = createUpstreamClient({ upstreams, clock: systemClock, version: '1', observer });
  const accepted = once(server, 'connection');
  const canonical = { upstream: 'api', method: 'GET' as const, target: '/', fields: [] };
  const call = { canonical, fields: [], decode: true, purpose: 'interactive' as const };
  expect(await client.fetch(call, new AbortController().signal)).toMatchObject({ failure: 'timeout' });
  const [socket]: Socket[] = await accepted;
  if (socket?.closed === false) await once(socket, 'close');
  expect(limits).toEqual(['upstreams.totalTimeout']);
  server.close();
});
