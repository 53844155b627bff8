import { describe, expect, it } from 'vitest';

import { head, startStage } from '../support/hostile.ts';
import { limitHits } from '../support/metrics.ts';

const expecting = (method: string, target: string, bytes: number): string =>
  head(`${method} ${target} HTTP/1.1`, 'Host: api.test', `Content-Length: ${bytes}`, 'Expect: 100-continue');

const goOn = 'HTTP/1.1 100 Continue\r\n\r\n';

describe('A client that waits to be told to send its content', () => {
  it('is told to where that is relayed, and by its answer where its head is refused', async () => {
    await using stage = await startStage({ server: 'limits: { maxBodyBytes: 10 }' });
    using taken = await stage.open();
    await taken.send(expecting('POST', '/r/x', 10));
    await expect.poll(() => taken.received.toString()).toBe(goOn);
    await taken.send('0123456789');
    expect((await taken.reply('POST')).status).toBe(200);

    using refused = await stage.open();
    await refused.send(expecting('POST', '/r/x', 11));
    await refused.ended();
    expect(refused.received.toString()).toMatch(/^HTTP\/1\.1 413 /);
    expect(await limitHits(stage.admin)).toEqual({ 'server.limits.maxBodyBytes': 1 });
    expect(stage.asked()).toEqual(['/r/x']);
  });

  it.each([
    ['that has no route', 'POST', '/nowhere', 404],
    ['whose target is none', 'POST', '/r/%zz', 400],
    ['that may have no content', 'GET', '/c/x', 400],
  ])('is answered at once with a request %s', async (_, method, target, status) => {
    await using stage = await startStage({});
    using connection = await stage.open();
    await connection.send(expecting(method, target, 5));
    await connection.ended();
    expect(connection.received.toString().slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect(stage.asked()).toEqual([]);
  });

  it('keeps its connection where it has no content after all', async () => {
    await using stage = await startStage({});
    await stage.get('/c/x');
    using connection = await stage.open();
    for (let round = 0; round < 2; round += 1) {
      await connection.send(head('GET /c/x HTTP/1.1', 'Host: api.test', 'Expect: 100-continue'));
      expect((await connection.reply()).status).toBe(200);
    }
  });
});
