import { describe, expect, it, onTestFinished } from 'vitest';

import { ParsedRequests, warm } from '../support/fast-lane.ts';
import { head, startStage } from '../support/hostile.ts';
import { outcomes, samples } from '../support/metrics.ts';
import { gated } from '../support/origin.ts';

const plain = (target: string): string => head(`GET ${target} HTTP/1.1`, 'Host: api.test');
const post = (target: string): string => `${head(`POST ${target} HTTP/1.1`, 'Host: api.test', 'Content-Length: 1')}x`;
const connect = head('CONNECT api.test:80 HTTP/1.1', 'Host: api.test');
const withContent = `${head('CONNECT api.test:80 HTTP/1.1', 'Host: api.test', 'Content-Length: 3')}abc`;

const behind: readonly (readonly [string, readonly string[]])[] = [
  ['one response that is owed', [plain('/c/a')]],
  ['two that are owed', [plain('/c/a'), plain('/c/b')]],
  ['five that are owed', ['/c/a', '/r/b', '/c/c', '/h/d', '/r/e'].map((target) => plain(target))],
  ['one that is owed and one that waits for it', [plain('/c/a'), post('/r/b')]],
];

describe.each([true, false])('CONNECT (fast lane: %s)', (fastLane) => {
  describe.each([
    ['alone', connect],
    ['with content', withContent],
  ])('%s', (_name, bytes) => {
    it.each(behind)(
      'behind %s gets no answer, which would be taken for theirs, and leaves nothing open',
      async (_what, requests) => {
        const gate = Promise.withResolvers<void>();
        const stage = await startStage({
          script: (request, peer) =>
            request.target === '/c/warm'
              ? peer.respond(200, {}, 'warm')
              : gated(gate.promise, (_request, other) => other.respond(200, {}, 'late'))(request, peer),
          server: `fastLane: ${fastLane}, grace: 200ms`,
        });
        onTestFinished(() => stage[Symbol.asyncDispose]());
        onTestFinished(() => gate.resolve());
        using parsed = new ParsedRequests(stage.url);
        using connection = await stage.open();
        if (fastLane) await warm(connection, parsed, plain('/c/warm'));
        const before = await outcomes(stage.admin);
        const safe = requests.filter((request) => request.startsWith('GET')).length;
        const asked = stage.asked().length;
        for (const request of requests) await connection.send(request);
        await expect.poll(() => stage.asked().length).toBe(asked + safe);
        await connection.send(bytes);
        await connection.ended();
        expect(connection.received.length).toBe(0);
        gate.resolve();
        const open = async (): Promise<readonly (number | undefined)[]> => {
          const all = await samples(stage.admin);
          return ['forecache_connections', 'forecache_requests_in_flight'].map((name) => all.get(name));
        };
        await expect.poll(open).toEqual([0, 0]);
        await expect.poll(() => outcomes(stage.admin)).toEqual({ ...before, aborted: requests.length });
        await stage.sound();
      },
    );
  });

  it('whose client resets the connection does the process no harm', async () => {
    const stage = await startStage({ server: `fastLane: ${fastLane}` });
    onTestFinished(() => stage[Symbol.asyncDispose]());
    for (let count = 0; count < 20; count += 1) {
      const connection = await stage.open();
      await connection.send(connect + connect);
      connection.socket.resetAndDestroy();
    }
    await expect.poll(async () => (await samples(stage.admin)).get('forecache_connections')).toBe(0);
    await stage.sound();
  });
});
