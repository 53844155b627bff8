import { once } from 'node:events';
import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';

import { ask, json } from '../support/http.ts';
import { launchServe, type Served } from '../support/launch.ts';
import { answer, chunk, gated, lastChunk, type Origin, silent, startOrigin } from '../support/origin.ts';
import { anotherAskMs, untilTaken } from '../support/signals.ts';

interface Stopping {
  readonly drainDelay?: string;
  readonly grace?: string;
  readonly channel?: boolean;
}

async function serve(
  origin: Pick<Origin, 'url'>,
  { drainDelay = '0', grace = '30s', channel = false }: Stopping,
): Promise<Served> {
  const yaml = `
server: { listen: 127.0.0.1:0, drainDelay: ${drainDelay}, grace: ${grace} }
admin: { listen: 127.0.0.1:0 }
upstreams: { api: { origin: "${origin.url}", timeout: 20s } }
routes:
  - { name: plain, match: /plain, upstream: api, ttl: 1h }
  - { name: live, match: /live, upstream: api, cache: off }
`;
  return launchServe(yaml, { channel });
}

/** A proxy that answers stale and asks upstream behind the answer, and logs what it stores. */
function refreshing(origin: Pick<Origin, 'url'>): string {
  return `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug }
upstreams: { api: { origin: "${origin.url}", timeout: 20s } }
routes:
  - { name: plain, match: /plain, upstream: api, ttl: 1h, staleWhileRevalidate: 1h }
`;
}

function posted(body: object): { readonly body: string; readonly headers: Readonly<Record<string, string>> } {
  return { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
}

async function upstream(): Promise<Origin> {
  const origin = await startOrigin(answer(200, { 'Content-Type': 'application/json' }, '{"v":1}'));
  onTestFinished(() => origin.close());
  return origin;
}

const draining = /"msg":"draining"/;
const cutOff = /"level":"warn".*"msg":"grace is over, ending what is under way"/gu;
const closing = /"msg":"closing"/;

describe('forecache serve, stopping', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('ends with 0 on %s when nothing is under way', async (signal) => {
    const program = await serve(await upstream(), {});
    await ask(program.proxy, '/plain');
    program.signal(signal);
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.stderr()).not.toMatch(cutOff);
  });

  it('ends with 0, idle kept-alive connections and all, when its parent is gone', async () => {
    const program = await serve(await upstream(), { channel: true });
    const agent = new Agent({ keepAlive: true });
    await ask(program.proxy, '/plain', { agent });
    await ask(program.admin, '/healthz', { agent });
    program.disconnect();
    expect(await program.ended).toEqual({ code: 0, signal: null });
    agent.destroy();
  });

  it('ends with 0 on a signal while its parent goes on', async () => {
    const program = await serve(await upstream(), { channel: true });
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('takes %s that comes twice in a moment for one', async (signal) => {
    const origin = await upstream();
    const gate = Promise.withResolvers<void>();
    origin.script(gated(gate.promise, answer(200, {}, 'late')));
    const program = await serve(origin, {});
    const slow = ask(program.proxy, '/plain');
    await origin.arrived(1);
    program.signal(signal);
    await untilTaken(program.pid);
    program.signal(signal);
    await program.says('stderr', closing);
    gate.resolve();
    expect((await slow).text).toBe('late');
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  it('ends at once with 1 on a signal that comes again after that moment, the second or a later one', async () => {
    const program = await serve(await upstream(), { drainDelay: '1h' });
    program.signal('SIGTERM');
    await untilTaken(program.pid);
    program.signal('SIGTERM');
    await program.says('stderr', draining);
    await delay(anotherAskMs);
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 1, signal: null });
  });

  it('is not ready during the drain delay, but serves old and new connections', async () => {
    const program = await serve(await upstream(), { drainDelay: '1h' });
    const agent = new Agent({ keepAlive: true });
    await ask(program.proxy, '/plain', { agent });
    program.signal('SIGTERM');
    await program.says('stderr', draining);

    const ready = await ask(program.admin, '/readyz');
    expect([ready.status, json(ready)]).toEqual([503, { state: 'draining' }]);
    expect((await ask(program.admin, '/healthz')).status).toBe(200);
    expect((await ask(program.proxy, '/plain', { agent })).cacheStatus).toContain('hit');
    expect((await ask(program.proxy, '/plain?new=1')).status).toBe(200);
    agent.destroy();
  });

  it('finishes what is in flight, takes nothing new meanwhile, and can be scraped until the end', async () => {
    const origin = await upstream();
    const gate = Promise.withResolvers<void>();
    origin.script(gated(gate.promise, answer(200, {}, 'late')));
    const program = await serve(origin, {});
    const agent = new Agent({ keepAlive: true });
    const slow = ask(program.proxy, '/plain', { agent });
    await origin.arrived(1);
    program.signal('SIGTERM');
    await program.says('stderr', closing);

    await expect(ask(program.proxy, '/plain')).rejects.toThrow('ECONNREFUSED');
    expect((await ask(program.admin, '/readyz')).status).toBe(503);
    expect((await ask(program.admin, '/healthz')).status).toBe(200);
    const scrape = await ask(program.admin, '/metrics');
    expect([scrape.status, scrape.text.includes('forecache_requests_total')]).toEqual([200, true]);

    gate.resolve();
    const reply = await slow;
    expect([reply.status, reply.text, reply.headers.connection]).toEqual([200, 'late', 'close']);
    expect(await program.ended).toEqual({ code: 0, signal: null });
    await expect(ask(program.admin, '/metrics')).rejects.toThrow('ECONNREFUSED');
  });

  it('waits for a refresh that no client waits for, and stores it', async () => {
    const origin = await upstream();
    const program = await launchServe(refreshing(origin));
    await ask(program.proxy, '/plain');
    const gate = Promise.withResolvers<void>();
    origin.script(gated(gate.promise, answer(200, { 'Content-Type': 'application/json' }, '{"v":2}')));
    // A soft purge makes it stale, and the next answer asks upstream behind itself.
    await ask(program.admin, '/api/purge', { method: 'POST', ...posted({ all: true, soft: true }) });
    expect((await ask(program.proxy, '/plain')).text).toBe('{"v":1}');
    await origin.arrived(2);
    program.signal('SIGTERM');
    await program.says('stderr', closing);
    gate.resolve();
    expect(await program.ended).toEqual({ code: 0, signal: null });
    const stored = program.stderr().match(/"result":"stored","msg":"storage"/gu);
    expect(stored).toHaveLength(2);
  });

  it('ends a refresh that takes longer than two seconds more', async () => {
    const origin = await upstream();
    const program = await launchServe(refreshing(origin));
    await ask(program.proxy, '/plain');
    origin.script(silent);
    await ask(program.admin, '/api/purge', { method: 'POST', ...posted({ all: true, soft: true }) });
    await ask(program.proxy, '/plain');
    await origin.arrived(2);
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.stderr()).toMatch(/"failure":"aborted".*"msg":"upstream call failed"/u);
  });

  it('lets a relayed stream end by itself', async () => {
    const origin = await upstream();
    const gate = Promise.withResolvers<void>();
    origin.script(async (_request, peer) => {
      await peer.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n`);
      await peer.write(chunk('one '));
      await gate.promise;
      await peer.write(chunk('two') + lastChunk);
    });
    const program = await serve(origin, {});
    const stream = ask(program.proxy, '/live');
    await origin.arrived(1);
    program.signal('SIGTERM');
    await program.says('stderr', closing);
    gate.resolve();
    expect((await stream).text).toBe('one two');
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  it('cuts off what the grace period does not suffice for, and still ends with 0', async () => {
    const origin = await upstream();
    origin.script(silent);
    const program = await serve(origin, { grace: '50ms' });
    const cut = ask(program.proxy, '/plain').catch(String);
    await origin.arrived(1);
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(await cut).toContain('socket hang up');
    expect(program.stderr().match(cutOff)).toHaveLength(1);
  });

  it('cuts off WebSockets with the grace period', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    onTestFinished(() => server.close());
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const program = await serve({ url: `http://127.0.0.1:${port}` }, { grace: '50ms' });
    const socket = new WebSocket(`${program.proxy.replace('http', 'ws')}/live`);
    const closed = new Promise<number>((resolve) => {
      socket.on('close', (code) => resolve(code));
    });
    await new Promise<void>((resolve, reject) => {
      socket.on('open', () => resolve());
      socket.on('error', reject);
    });
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 0, signal: null });
    // 1006: the connection ended without a Close frame (RFC 6455 §7.1.5).
    expect(await closed).toBe(1006);
  });

  it.each([
    ['SIGTERM', 'SIGTERM'],
    ['SIGTERM', 'SIGINT'],
    ['SIGINT', 'SIGINT'],
  ] as const)('ends at once with 1 when %s is followed by %s', async (first, second) => {
    const origin = await upstream();
    origin.script(silent);
    const program = await serve(origin, { drainDelay: '1h', grace: '1h' });
    const cut = ask(program.proxy, '/plain').catch(String);
    await origin.arrived(1);
    program.signal(first);
    await program.says('stderr', draining);
    await delay(anotherAskMs);
    program.signal(second);
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(await cut).toContain('socket hang up');
  });
});
