import { describe, expect, it } from 'vitest';

import { get, head, startStage } from '../support/hostile.ts';
import { limitHits, outcomes } from '../support/metrics.ts';
import { chunk, lastChunk } from '../support/origin.ts';

const line = 'GET /c/x HTTP/1.1';
const always = ['Host: api.test', 'Connection: close'];

/** A request whose request line and field lines are that many bytes long. */
function headOf(bytes: number): string {
  const rest = [line, ...always, 'X-Pad: '].map((one) => one.length + 2).reduce((sum, one) => sum + one, 0);
  return head(line, ...always, `X-Pad: ${'p'.repeat(bytes - rest)}`);
}

/** A request with that many field lines. */
function fieldsOf(count: number): string {
  const more = Array.from({ length: count - always.length }, (_, index) => `X-${index}: 1`);
  return head(line, ...always, ...more);
}

/** A request with a target of that many bytes. */
function targetOf(bytes: number): string {
  return get(`/c/${'t'.repeat(bytes - '/c/'.length)}`);
}

function posted(framing: string, content: string): string {
  return `${head('POST /r/x HTTP/1.1', ...always, framing)}${content}`;
}

function sized(bytes: number): string {
  return posted(`Content-Length: ${bytes}`, 'b'.repeat(bytes));
}

function chunked(bytes: number): string {
  const half = Math.floor(bytes / 2);
  const content = chunk('b'.repeat(half)).toString() + chunk('b'.repeat(bytes - half)).toString() + lastChunk;
  return posted('Transfer-Encoding: chunked', content);
}

interface Row {
  readonly title: string;
  readonly option: string;
  readonly limits: string;
  readonly at: string;
  readonly past: string;
  readonly status: number;
  readonly code: string;
}

const rows: readonly Row[] = [
  {
    title: 'a head of exactly maxHeaderBytes passes, one byte more is a 431',
    option: 'server.limits.maxHeaderBytes',
    limits: 'maxHeaderBytes: 2KiB',
    at: headOf(2048),
    past: headOf(2049),
    status: 431,
    code: 'head-too-large',
  },
  {
    title: 'a head far past maxHeaderBytes, which the parser already refuses, is a 431',
    option: 'server.limits.maxHeaderBytes',
    limits: 'maxHeaderBytes: 2KiB',
    at: headOf(2048),
    past: headOf(10_000),
    status: 431,
    code: 'head-too-large',
  },
  {
    title: 'exactly maxHeaderFields lines pass, one more is a 431',
    option: 'server.limits.maxHeaderFields',
    limits: 'maxHeaderFields: 7',
    at: fieldsOf(7),
    past: fieldsOf(8),
    status: 431,
    code: 'too-many-fields',
  },
  {
    title: 'a target of exactly maxTargetBytes passes, one byte more is a 414',
    option: 'server.limits.maxTargetBytes',
    limits: 'maxTargetBytes: 100',
    at: targetOf(100),
    past: targetOf(101),
    status: 414,
    code: 'target-too-long',
  },
  {
    title: 'content of exactly maxBodyBytes is relayed, one byte more is a 413',
    option: 'server.limits.maxBodyBytes',
    limits: 'maxBodyBytes: 1000',
    at: sized(1000),
    past: sized(1001),
    status: 413,
    code: 'content-too-large',
  },
  {
    title: 'content in chunks of exactly maxBodyBytes is relayed, one byte more is a 413',
    option: 'server.limits.maxBodyBytes',
    limits: 'maxBodyBytes: 1000',
    at: chunked(1000),
    past: chunked(1001),
    status: 413,
    code: 'content-too-large',
  },
  {
    title: 'with maxBodyBytes: 0 a request without content is relayed, a byte of it is a 413',
    option: 'server.limits.maxBodyBytes',
    limits: 'maxBodyBytes: 0',
    at: posted('Content-Length: 0', ''),
    past: sized(1),
    status: 413,
    code: 'content-too-large',
  },
];

describe('What a client may send', () => {
  it.each(rows)('$title', async ({ option, limits, at, past, status, code }) => {
    await using stage = await startStage({ server: `limits: { ${limits} }` });
    const within = await stage.converse(at);
    expect(within.replies.map((reply) => reply.status)).toEqual([200]);
    expect(await limitHits(stage.admin)).toEqual({});
    const asked = stage.asked().length;

    const beyond = await stage.converse(past);
    expect(beyond.replies.map((reply) => [reply.status, reply.field('content-type')])).toEqual([
      [status, 'application/problem+json'],
    ]);
    expect(JSON.parse(beyond.replies[0]?.text ?? '')).toMatchObject({ type: `urn:forecache:problem:${code}`, status });
    expect(stage.asked()).toHaveLength(asked);
    expect(await limitHits(stage.admin)).toEqual({ [option]: 1 });
    await stage.sound();
  });

  it('too large a head has one title, whoever refuses it: its type is the same (RFC 9457 §3.1.3)', async () => {
    await using stage = await startStage({ server: 'limits: { maxHeaderBytes: 2KiB }' });
    const titleOf = async (sent: string): Promise<unknown> =>
      JSON.parse((await stage.converse(sent)).replies[0]?.text ?? '').title;
    expect(await titleOf(headOf(10_000))).toBe(await titleOf(headOf(2049)));
  });

  it('a refusal keeps what is refused off the connection’s next request', async () => {
    await using stage = await startStage({ server: 'limits: { maxBodyBytes: 10 }' });
    // Were the content read as a request, there would be a second answer.
    const inside = get('/c/smuggled');
    const { replies, rest } = await stage.converse(posted(`Content-Length: ${inside.length}`, inside));
    expect([replies.map((reply) => reply.status), rest.length]).toEqual([[413], 0]);
    expect(stage.asked()).toEqual([]);
  });

  it('a refused request is counted as rejected, once', async () => {
    await using stage = await startStage({ server: 'limits: { maxTargetBytes: 100, maxBodyBytes: 10 }' });
    await stage.converse(targetOf(101));
    await stage.converse(sized(11));
    expect(await outcomes(stage.admin)).toEqual({ rejected: 2 });
  });
});
