import { describe, expect, it } from 'vitest';

import { echo, head, startStage, told } from '../support/hostile.ts';
import { limitHits } from '../support/metrics.ts';
import { gated } from '../support/origin.ts';

const expecting = (method: string, target: string, bytes: number): string =>
  head(`${method} ${target} HTTP/1.1`, 'Host: api.test', `Content-Length: ${bytes}`, 'Expect: 100-continue');

const plain = (target: string, ...lines: readonly string[]): string =>
  head(`GET ${target} HTTP/1.1`, 'Host: api.test', ...lines);

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

  it('keeps its connection behind others of it, where it has no content or has sent it unasked', async () => {
    const gate = Promise.withResolvers<void>();
    const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: queried, match: /q, upstream: api, ttl: 10m, content: { methods: [QUERY], as: json } }`;
    await using stage = await startStage({ routes, script: gated(gate.promise, echo) });
    using connection = await stage.open();
    const content = ['Content-Type: application/json', 'Content-Length: 2', 'Expect: 100-continue'];
    const query = head('QUERY /q HTTP/1.1', 'Host: api.test', ...content);
    await connection.send(`${plain('/c/1') + plain('/c/2', 'Expect: 100-continue') + query}{}${plain('/c/4')}`);
    await stage.origin.arrived(4);
    gate.resolve();
    const texts: string[] = [];
    for (let one = 0; one < 4; one += 1) texts.push((await connection.reply()).text);
    expect(texts).toEqual([told('GET', '/c/1'), told('GET', '/c/2'), told('QUERY', '/q'), told('GET', '/c/4')]);
  });
});
