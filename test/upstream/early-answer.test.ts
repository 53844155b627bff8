import { request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';

import type { UpstreamCall } from '../../src/cache/upstream-ports.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { startEarlyUpstream } from '../support/early-upstream.ts';
import { startRelayHost } from '../support/relay-host.ts';
import { upstreamConfig } from '../support/upstream-config.ts';

const MIB = 1024 * 1024;

/** What a client gets that sends so much to `port`. */
function upload(port: number, bytes: number): Promise<string> {
  return new Promise((resolve) => {
    const sent = request({ port, host: '127.0.0.1', method: 'POST', path: '/up', agent: false }, (answer) => {
      let text = `${answer.statusCode} `;
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      answer.once('close', () => resolve(text));
    });
    sent.on('error', (error) => resolve(error.message));
    sent.setHeader('content-length', bytes);
    sent.end(Buffer.alloc(bytes));
  });
}

test.each([0, 20, 60])(
  'an upload that upstream answers early, after %i ms, and closes on gets that answer',
  async (delayMs) => {
    const origin = await startEarlyUpstream(delayMs);
    const host = await startRelayHost({ config: upstreamConfig(origin), plan: { maxBodyBytes: 64 * MIB } });
    onTestFinished(() => host[Symbol.asyncDispose]());
    const answers: string[] = [];
    for (let round = 0; round < 12; round++) answers.push(await upload(host.port, 16 * MIB));
    expect(answers).toEqual(Array.from({ length: 12 }, () => '413 too much'));
    expect(host.uncaught).toEqual([]);
  },
);

test.each([0, 20, 60])(
  'a call with content that upstream answers early, after %i ms, has that answer',
  async (delayMs) => {
    const origin = await startEarlyUpstream(delayMs);
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
