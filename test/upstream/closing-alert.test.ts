import { once } from 'node:events';
import { request } from 'node:http';
import { setImmediate as turnEnd } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';

import { UpstreamBodyError } from '../../src/cache/upstream-ports.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { cutOf, watchClosingAlert } from '../../src/upstream/closing-alert.ts';
import { selfSigned } from '../support/certificate.ts';
import { startTestProxy } from '../support/proxy.ts';
import { startRelayHost } from '../support/relay-host.ts';
import { startTlsUpstream, type TlsEnd, type TlsUpstream } from '../support/tls-upstream.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const certificate = await selfSigned();
afterAll(() => certificate[Symbol.dispose]());

const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n';

async function upstream(bytes: string, end: TlsEnd): Promise<TlsUpstream> {
  const one = await startTlsUpstream(certificate, bytes, end);
  onTestFinished(() => one[Symbol.asyncDispose]());
  return one;
}

/** What a call of ours has: bytes of content, and how they broke off. `late`: nobody reads before what can come has come. */
async function called({ url }: TlsUpstream, framing: 'strict' | 'lenient', late = false): Promise<string> {
  const config = upstreamConfig(url, { framing, caFile: certificate.certFile });
  const client = createUpstreamClient({
    upstreams: new Map([[config.name, config]]),
    clock: systemClock,
    version: '1',
  });
  onTestFinished(() => client[Symbol.asyncDispose]());
  const canonical = { upstream: config.name, method: 'GET' as const, target: '/', fields: [] };
  const call = { canonical, fields: [], decode: true, purpose: 'interactive' as const };
  const answer = await client.fetch(call, new AbortController().signal);
  if (answer.kind === 'failure') return answer.failure;
  const turns = late ? 60 : 0;
  for (let turn = 0; turn < turns; turn += 1) await turnEnd();
  let bytes = 0;
  try {
    for await (const chunk of answer.body.chunks()) bytes += chunk.length;
  } catch (error) {
    if (!(error instanceof UpstreamBodyError)) throw error;
    return `${error.failure}: ${error.message}`;
  }
  return `all ${bytes}`;
}

/** What a client of the relay gets, and how the exchange failed. */
async function relayed({ url }: TlsUpstream, method: 'GET' | 'POST'): Promise<string> {
  const host = await startRelayHost({ config: upstreamConfig(url, { caFile: certificate.certFile }) });
  onTestFinished(() => host[Symbol.asyncDispose]());
  const got = await new Promise<string>((resolve) => {
    const sent = request({ port: host.port, host: '127.0.0.1', method, path: '/', agent: false }, (answer) => {
      let bytes = 0;
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      answer.on('error', () => {});
      answer.once('close', () => resolve(answer.complete && answer.statusCode === 200 ? `all ${bytes}` : 'cut'));
    });
    sent.on('error', () => resolve('cut'));
    sent.end(method === 'POST' ? 'content' : undefined);
  });
  await host.ended(1);
  expect(host.uncaught).toEqual([]);
  return got === 'cut' ? String(host.results[0]?.failure) : got;
}

const ways = {
  'a call of ours': (from: TlsUpstream) => called(from, 'strict'),
  'a call of ours, lenient': (from: TlsUpstream) => called(from, 'lenient'),
  'a relayed GET': (from: TlsUpstream) => relayed(from, 'GET'),
  'a relayed POST': (from: TlsUpstream) => relayed(from, 'POST'),
} as const;
const names = ['a call of ours', 'a call of ours, lenient', 'a relayed GET', 'a relayed POST'] as const;

describe.each(names)('over TLS, of %s', (way) => {
  it.each<[TlsEnd, RegExp]>([
    ['alert', /^all 8$/],
    ['fin', /^truncated(?:: .*\(no close_notify\))?$/],
    ['rst', /^(?:reset|truncated)\b/],
  ])('what would end with its connection is whole behind a closing alert alone: %s', async (end, outcome) => {
    expect(await ways[way](await upstream(`${head}\r\nall of i`, end))).toMatch(outcome);
  });

  it.each<TlsEnd>(['alert', 'fin', 'rst'])(
    'what its framing ends is whole whatever ends its connection: %s',
    async (end) => {
      expect(await ways[way](await upstream(`${head}Content-Length: 8\r\n\r\nall of i`, end))).toBe('all 8');
    },
  );
});

// Sizes of the last read, which has the alert in it, on both sides of what is read ahead.
it.each(Array.from({ length: 12 }, (_none, at) => 96 + 16 * at))(
  'how a connection with TLS was closed is known of content that is read late: %i KiB',
  async (kilobytes) => {
    const bytes = kilobytes * 1024;
    const content = `${head}\r\n${'x'.repeat(bytes)}`;
    expect(await called(await upstream(content, 'alert'), 'lenient', true)).toBe(`all ${bytes}`);
    expect(await called(await upstream(content, 'fin'), 'lenient', true)).toBe(
      'truncated: the response ended before it was complete (no close_notify)',
    );
  },
);

/** The handle of the connection below, which is no documented part of Node. */
function below(socket: TLSSocket): object {
  const secure: unknown = Reflect.get(socket, '_handle');
  const plain: unknown = typeof secure === 'object' && secure !== null ? Reflect.get(secure, '_parent') : undefined;
  if (typeof plain !== 'object' || plain === null) throw new Error('this Node has no such handle');
  return plain;
}

const handles: Readonly<Record<string, (plain: object) => void>> = {
  'that takes each start of reading': (plain) => {
    const start: unknown = Reflect.get(plain, 'readStart');
    if (typeof start !== 'function') throw new Error('this Node has no such handle');
    Reflect.set(plain, 'readStart', () => {
      Reflect.apply(start, plain, []);
      return 0;
    });
  },
  'that answers something else': (plain) => Reflect.set(plain, 'readStart', () => 'yes'),
  'that answers no error of the system': (plain) => Reflect.set(plain, 'readStart', () => 1),
  'that cannot start reading': (plain) => Reflect.set(plain, 'readStart', undefined),
};

const versions = ['TLSv1.2', 'TLSv1.3'] as const;

describe.each(versions)('of a connection with %s', (version) => {
  async function ended(end: TlsEnd, change: (plain: object) => void): Promise<{ cut: unknown; bytes: number }> {
    const { port } = new URL((await upstream(`${head}\r\nall of i`, end)).url);
    const options = { port: Number(port), host: '127.0.0.1', servername: 'localhost', ca: certificate.cert };
    const socket = connect({ ...options, minVersion: version, maxVersion: version });
    onTestFinished(() => void socket.destroy());
    await once(socket, 'secureConnect');
    watchClosingAlert(socket);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    change(below(socket));
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(socket, 'end');
    return { cut: cutOf(socket, false)?.failure, bytes: bytes - head.length - 2 };
  }

  it.each<[TlsEnd, string | undefined]>([
    ['alert', undefined],
    ['fin', 'truncated'],
  ])('how it was closed is known: %s', async (end, cut) => {
    expect(await ended(end, () => undefined)).toEqual({ cut, bytes: 8 });
  });

  it.each(Object.keys(handles))('nothing is made of its end by a handle %s', async (name) => {
    for (const end of ['alert', 'fin'] as const) {
      expect(await ended(end, handles[name] ?? (() => undefined))).toEqual({ cut: undefined, bytes: 8 });
    }
  });
});

it.each<[TlsEnd, number]>([
  ['alert', 2],
  ['fin', 0],
  ['rst', 0],
])(
  'of what would end with its connection over TLS is stored what a closing alert ends alone: %s',
  async (end, count) => {
    const { url } = await upstream(`${head}Cache-Control: max-age=60\r\n\r\nall of i`, end);
    await using proxy = await startTestProxy({
      yaml: `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams:
  api: { origin: "${url}", timeout: 5s, framing: lenient, caFile: ${certificate.certFile} }
routes:
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
`,
    });
    for (const target of ['/c/x', '/h/x']) {
      const got = await proxy.get(target).then(
        ({ status }) => status,
        () => 'cut',
      );
      expect(got === 200).toBe(end === 'alert');
    }
    const listed = await proxy.call('GET', '/api/stored?limit=10');
    expect(listed.body).toMatchObject({ stored: { length: count } });
  },
);
