import { request } from 'node:http';
import { afterAll, expect, onTestFinished, test } from 'vitest';

import type { UpstreamCall } from '../../src/cache/upstream-ports.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { selfSigned } from '../support/certificate.ts';
import { startEarlyUpstream } from '../support/early-upstream.ts';
import { startRelayHost } from '../support/relay-host.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const MIB = 1024 * 1024;

const certificate = await selfSigned();
afterAll(() => certificate[Symbol.dispose]());

const times = [
  { scheme: 'http', delayMs: 0 },
  { scheme: 'http', delayMs: 20 },
  { scheme: 'http', delayMs: 60 },
  { scheme: 'https', delayMs: 0 },
  { scheme: 'https', delayMs: 20 },
] as const;

function tlsOf(scheme: 'http' | 'https') {
  return scheme === 'https' ? certificate : undefined;
}

/** Of whatever scheme. */
const ca = { caFile: certificate.certFile };

/** What a client gets that sends so much to `port`; `bytes`: nothing, by a GET, where there are none. */
function upload(port: number, bytes: number): Promise<string> {
  return new Promise((resolve) => {
    const method = bytes === 0 ? 'GET' : 'POST';
    const sent = request({ port, host: '127.0.0.1', method, path: '/up', agent: false }, (answer) => {
      let text = `${answer.statusCode} `;
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      answer.on('error', () => {});
      answer.once('close', () => resolve(answer.complete ? text : 'cut off'));
    });
    sent.on('error', (error) => resolve(error.message));
    if (bytes > 0) sent.setHeader('content-length', bytes);
    sent.end(Buffer.alloc(bytes));
  });
}

test.each(times)(
  'an upload that upstream answers early, by $scheme after $delayMs ms, and closes on gets that answer',
  async ({ scheme, delayMs }) => {
    const origin = await startEarlyUpstream({ delayMs, length: 8, tls: tlsOf(scheme) });
    const host = await startRelayHost({ config: upstreamConfig(origin, ca), plan: { maxBodyBytes: 64 * MIB } });
    onTestFinished(() => host[Symbol.asyncDispose]());
    const answers: string[] = [];
    for (let round = 0; round < 12; round++) answers.push(await upload(host.port, 16 * MIB));
    expect(answers).toEqual(Array.from({ length: 12 }, () => '413 too much'));
    expect(host.uncaught).toEqual([]);
  },
);

interface Cut {
  readonly bytes: number;
  readonly rounds: number;
  readonly isUnasked: boolean;
  readonly scheme: 'http' | 'https';
}

test.each<[string, Cut]>([
  ['to an upload, behind its head', { bytes: 16 * MIB, rounds: 12, isUnasked: false, scheme: 'http' }],
  ['to an upload over TLS', { bytes: 16 * MIB, rounds: 12, isUnasked: false, scheme: 'https' }],
  ['to a GET, before its head', { bytes: 0, rounds: 300, isUnasked: true, scheme: 'http' }],
])(
  'what would end with its connection and is cut by a reset is never whole, whether reading or writing meets that: %s',
  async (_case, { bytes, rounds, isUnasked, scheme }) => {
    const origin = await startEarlyUpstream({ isUnasked, tls: tlsOf(scheme) });
    const host = await startRelayHost({ config: upstreamConfig(origin, ca), plan: { maxBodyBytes: 64 * MIB } });
    onTestFinished(() => host[Symbol.asyncDispose]());
    const answers = new Set<string>();
    for (let round = 0; round < rounds; round++) answers.add(await upload(host.port, bytes));
    expect([...answers]).not.toContain('413 too much');
    await host.ended(rounds);
    const failures = new Set(host.results.map(({ failure }) => failure));
    expect(failures.isSubsetOf(new Set(['connect', 'reset', 'truncated']))).toBe(true);
    expect(host.uncaught).toEqual([]);
  },
);

test.each(times)(
  'a call with content that upstream answers early, by $scheme after $delayMs ms, has that answer',
  async ({ scheme, delayMs }) => {
    const origin = await startEarlyUpstream({ delayMs, length: 8, tls: tlsOf(scheme) });
    const config = upstreamConfig(origin, ca);
    const client = createUpstreamClient({
      upstreams: new Map([[config.name, config]]),
      clock: systemClock,
      version: '1',
    });
    onTestFinished(() => client[Symbol.asyncDispose]());
    const content = { bytes: Buffer.alloc(16 * MIB), type: 'application/octet-stream' };
    const call: UpstreamCall = {
      canonical: { upstream: config.name, method: 'POST', target: '/up', fields: [], content },
      fields: [],
      decode: true,
      purpose: 'interactive',
    };
    const answers: (number | string)[] = [];
    for (let round = 0; round < 12; round++) {
      const answer = await client.fetch(call, new AbortController().signal);
      answers.push(answer.kind === 'response' ? answer.status : answer.detail);
      if (answer.kind === 'response') for await (const chunk of answer.body.chunks()) answers.push(String(chunk));
    }
    expect(answers).toEqual(Array.from({ length: 12 }, () => [413, 'too much']).flat());
  },
);
