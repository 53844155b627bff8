import { describe, expect, it } from 'vitest';

import { asNumber, asRecord } from '../../src/cli/json.ts';
import { get, head, startStage, type Stage } from '../support/hostile.ts';
import { outcomes, samples } from '../support/metrics.ts';

/** Requests by problem code, without a route. */
async function problems(stage: Stage): Promise<Readonly<Record<string, number>>> {
  const found: Record<string, number> = {};
  for (const [name, value] of await samples(stage.admin)) {
    const code = /^forecache_problems_total\{code="([^"]+)"\}$/u.exec(name)?.[1];
    if (code !== undefined) found[code] = value;
  }
  return found;
}

describe('What no request can be read from', () => {
  it.each([
    ['garbage', 'garbage\r\n\r\n', '', 'request-malformed'],
    [
      'two lengths',
      head('POST /r/x HTTP/1.1', 'Host: x', 'Content-Length: 1', 'Content-Length: 2'),
      '',
      'request-malformed',
    ],
    ['a head that is too large', get('/c/x', `X: ${'x'.repeat(20_000)}`), '', 'head-too-large'],
    ['half a head', 'GET / HTTP/1.1\r\nHost:', 'timeouts: { headers: 100ms }', 'request-timeout'],
    ['CONNECT', head('CONNECT x:1 HTTP/1.1', 'Host: x:1'), '', 'method-not-allowed'],
  ])('is one rejected request without a route: %s', async (_what, bytes, server, code) => {
    await using stage = await startStage(server === '' ? {} : { server });
    expect((await stage.converse(bytes)).replies).toHaveLength(1);
    expect(await outcomes(stage.admin)).toEqual({ rejected: 1 });
    expect(await problems(stage)).toEqual({ [code]: 1 });
    const report = asRecord((await stage.call('GET', '/api/metrics/cache')).body);
    expect([report['requests'], report['rejected']]).toEqual([1, 1]);
    expect(asNumber(asRecord(asRecord(report['routes'])['none'])['rejected'])).toBe(1);
  });

  it('is a connection too many as well', async () => {
    await using stage = await startStage({ server: 'limits: { maxConnections: 1 }' });
    using only = await stage.open();
    await only.send(head('GET /c/x HTTP/1.1', 'Host: x'));
    await only.reply();
    await stage.converse(get('/c/x'));
    expect(await outcomes(stage.admin)).toEqual({ miss: 1, rejected: 1 });
    expect(await problems(stage)).toEqual({ 'too-many-connections': 1 });
  });

  it('is counted once where it stands behind a request that was refused for its form', async () => {
    await using stage = await startStage();
    const { replies } = await stage.converse(`${head('GET /c/x HTTP/1.1')}garbage\r\n\r\n`);
    expect(await outcomes(stage.admin)).toEqual({ rejected: replies.length });
    expect(replies).toHaveLength(1);
  });
});
