import { expect, it } from 'vitest';

import { get, startStage } from '../support/hostile.ts';
import { samples } from '../support/metrics.ts';
import { answer, gated } from '../support/origin.ts';

it.each(['/c', '/h'])(
  'A fetch of %s that waits for a connection is not made when all who asked for it have gone',
  async (route) => {
    const gate = Promise.withResolvers<void>();
    await using stage = await startStage({
      upstream: 'maxConnections: 1',
      script: gated(gate.promise, answer(200, { 'Cache-Control': 'max-age=60' }, 'x')),
    });
    const first = stage.get(`${route}/first`);
    await stage.origin.arrived(1);
    const targets = ['left', 'left', 'kept', 'kept', 'last'];
    const clients = await Promise.all(targets.map(() => stage.open()));
    for (const [index, client] of clients.entries()) await client.send(get(`${route}/${targets[index]}`));
    const inFlight = async (): Promise<unknown> => (await samples(stage.admin)).get('forecache_requests_in_flight');
    await expect.poll(inFlight).toBe(6);
    for (const gone of [0, 1, 2]) clients[gone]?.socket.destroy();
    await expect.poll(inFlight).toBe(3);
    gate.resolve();
    await first;
    for (const left of [3, 4]) expect((await clients[left]?.reply())?.text).toBe('x');
    expect(stage.asked()).toEqual(['first', 'kept', 'last'].map((name) => `${route}/${name}`));
  },
);
