import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';

import type { UpstreamConfig } from '../../src/core/config.ts';
import { RelayLines } from '../../src/upstream/relay-lines.ts';
import type { RelayLine } from '../../src/upstream/connection.ts';
import { answer, inTurn, startOrigin, type OriginScript } from '../support/origin.ts';
import { startRelayHost, type RelayHost } from '../support/relay-host.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

async function setUp(script: OriginScript, changes: Partial<UpstreamConfig> = {}) {
  const origin = await startOrigin(script);
  open.push(origin);
  const lines = new RelayLines(upstreamConfig(origin.url, changes));
  open.push({ [Symbol.asyncDispose]: async () => lines.destroy() });
  return { origin, lines };
}

/** Sends one GET; resolves with true where it was answered whole. */
function ask(line: RelayLine): Promise<boolean> {
  return new Promise((resolve) => {
    line.send('/p', ['host', 'x'], {
      onRequestStart: () => void line.wire.takesReused(),
      onResponseStart: () => {},
      onResponseData: () => {},
      onResponseEnd: () => resolve(true),
      onResponseError: () => resolve(false),
    });
  });
}

/** Sends one request after the other on one connection, each when the one before was answered. */
async function exchange(host: RelayHost, requests: readonly string[]): Promise<void> {
  const socket = connect(host.port, '127.0.0.1');
  socket.resume();
  for (const [index, request] of requests.entries()) {
    socket.write(request, 'latin1');
    await host.ended(index + 1);
  }
  socket.end();
  await once(socket, 'close');
}

const ok = answer(200, {}, 'ok');

describe('connections for relayed requests', () => {
  test('are used again, the latest first', async () => {
    const { origin, lines } = await setUp(ok);
    const [first, second] = [lines.take(), lines.take()];
    expect(await Promise.all([ask(first), ask(second)])).toEqual([true, true]);
    lines.give(first);
    lines.give(second);
    expect([lines.take(), lines.take()]).toEqual([second, first]);
    expect(await ask(second)).toBe(true);
    expect(origin.requests).toHaveLength(3);
    expect(first.wire.takesReused()).toBe(true);
    first.destroy();
    second.destroy();
  });

  test('are kept up to maxConnections; what is more is closed', async () => {
    const { lines } = await setUp(ok, { maxConnections: 2 });
    const three = [lines.take(), lines.take(), lines.take()];
    await Promise.all(three.map(ask));
    for (const line of three) lines.give(line);
    expect(lines.idle).toBe(2);
    expect(lines.take()).toBe(three[1]);
    expect(await ask(three[2] ?? lines.fresh())).toBe(false);
    three[1]?.destroy();
  });

  test('that upstream has closed are forgotten', async () => {
    const { lines } = await setUp(inTurn(answer(200, { Connection: 'close' }, 'ok')));
    const line = lines.take();
    expect(await ask(line)).toBe(true);
    lines.give(line);
    await expect.poll(() => lines.idle).toBe(0);
  });

  test('that are idle end when all is over', async () => {
    const { lines } = await setUp(ok);
    const line = lines.take();
    await ask(line);
    lines.give(line);
    lines.destroy();
    expect(lines.idle).toBe(0);
    expect(await ask(line)).toBe(false);
  });
});

describe('a GET that is relayed', () => {
  test('has its cookies in one line', async () => {
    const origin = await startOrigin(ok);
    open.push(origin);
    const host = await startRelayHost({ config: upstreamConfig(origin.url) });
    open.push(host);
    await exchange(host, ['GET /p HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nX-A: 1\r\nCookie: b=2\r\nX-A: 2\r\n\r\n']);
    const lines = origin.requests[0]?.lines.filter(([name]) => /^(?:cookie|x-a)$/i.test(name));
    expect(lines).toEqual([
      ['cookie', 'a=1; b=2'],
      ['x-a', '1'],
      ['x-a', '2'],
    ]);
  });

  test('goes upstream as any other request does: names in lower case, lines of one name together, values as they came', async () => {
    const origin = await startOrigin(ok);
    open.push(origin);
    const host = await startRelayHost({ config: upstreamConfig(origin.url) });
    open.push(host);
    const fields =
      'ACCEPT: a\r\nx-ODD: A\tb\r\nExpect: 100-continue\r\nCookie: a=1\r\nAccept: b\r\nVia: 1.0 q\r\nX-Odd: \xe9\r\n' +
      'X-Empty:\r\n__proto__: p\r\nCOOKIE: b=2\r\n';
    // OPTIONS goes another way, by http-proxy-3.
    const requests = ['GET', 'OPTIONS'].map((method) => `${method} /p HTTP/1.1\r\nHost: x\r\n${fields}\r\n`);
    await exchange(host, requests);
    const [bare, other] = origin.requests.map(({ lines }) => lines.filter(([name]) => !/^connection$/i.test(name)));
    expect(bare).toEqual([
      ['host', `127.0.0.1:${origin.port}`],
      ['accept', 'a'],
      ['accept', 'b'],
      ['x-odd', 'A\tb'],
      ['x-odd', '\xe9'],
      ['cookie', 'a=1; b=2'],
      ['via', '1.0 q'],
      ['via', '1.1 forecache'],
      ['x-empty', ''],
      ['__proto__', 'p'],
    ]);
    expect(other?.filter(([name]) => name !== 'content-length')).toEqual(bare);
  });

  test('goes on the connection of the one before it', async () => {
    const ports = new Set<number | undefined>();
    const origin = await startOrigin((_request, peer) => {
      ports.add(peer.socket.remotePort);
      return peer.respond(200, {}, 'ok');
    });
    open.push(origin);
    const host = await startRelayHost({ config: upstreamConfig(origin.url) });
    open.push(host);
    const get = 'GET /p HTTP/1.1\r\nHost: x\r\n\r\n';
    await exchange(host, [get, get, get]);
    expect(origin.requests).toHaveLength(3);
    expect(ports.size).toBe(1);
  });
});
