import { request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';

import type { UpstreamCall } from '../../src/cache/upstream-ports.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { startEarlyUpstream } from '../support/early-upstream.ts';
import { startRelayHost } from '../support/relay-host.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const MIB = 1024 * 1024;

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

test.each([0, 20, 60])(
  'an upload that upstream answers early, after %i ms, and closes on gets that answer',
  async (delayMs) => {
    const origin = await startEarlyUpstream({ delayMs, length: 8 });
    const host = await startRelayHost({ config: upstreamConfig(origin), plan: { maxBodyBytes: 64 * MIB } });
    onTestFinished(() => host[Symbol.asyncDispose]());
    const answers: string[] = [];
    for (let round = 0; round < 12; round++) answers.push(await upload(host.port, 16 * MIB));
    expect(answers).toEqual(Array.from({ length: 12 }, () => '413 too much'));
    expect(host.uncaught).toEqual([]);
  },
);

test.each<[string, { readonly bytes: number; readonly rounds: number; readonly isUnasked: boolean }]>([
  ['to an upload, behind its head', { bytes: 16 * MIB, rounds: 12, isUnasked: false }],
  ['to a GET, before its head', { bytes: 0, rounds: 300, isUnasked: true }],
])(
  'what would end with its connection and is cut by a reset is never whole, whether reading or writing meets that: %s',
  async (_case, { bytes, rounds, isUnasked }) => {
    const origin = await startEarlyUpstream({ isUnasked });
    const host = await startRelayHost({ config: upstreamConfig(origin), plan: { maxBodyBytes: 64 * MIB } });
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

test.each([0, 20, 60])(
  'a call with content that upstream answers early, after %i ms, has that answer',
  async (delayMs) => {
    const origin = await startEarlyUpstream({ delayMs, length: 8 });
    const config = upstreamConfig(origin);
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
