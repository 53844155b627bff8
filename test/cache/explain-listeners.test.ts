import { expect, it } from 'vitest';

import { answer, startOrigin } from '../support/origin.ts';
import { startTestProxy } from '../support/proxy.ts';
import { StillClock } from '../support/still-clock.ts';

const yaml = (origin: string): string => `
server: { listen: 127.0.0.1:0, listeners: { second: { listen: 127.0.0.1:0 } } }
admin: { listen: 127.0.0.1:0 }
log: { level: silent }
upstreams: { api: { origin: "${origin}" } }
routes:
  - { name: everywhere, match: /a, upstream: api, ttl: 1h }
  - { name: bound, match: /b, upstream: api, ttl: 1h, listener: second }
`;

it('explains what each listener answers, by its name and by the address that it is bound to', async () => {
  await using origin = await startOrigin(answer(200));
  // What is told has ages and lifetimes, and two of them are compared.
  await using proxy = await startTestProxy({ yaml: yaml(origin.url), clock: new StillClock() });
  const told = await Promise.all(
    proxy.app.listeners.flatMap(({ name, host, port }) =>
      ['/a', '/b'].map(async (path) => {
        const reply = await fetch(`http://${host}:${port}${path}`);
        const byAddress = await proxy.call('POST', '/api/explain', { url: `http://${host}:${port}${path}` });
        const byName = await proxy.call('POST', '/api/explain', { url: path, listener: name });
        expect(byName).toEqual(byAddress);
        return [name, path, reply.status, byName.body];
      }),
    ),
  );
  const reason = 'No route matches this path and host. Route bound governs it on listener second.';
  const elsewhere = expect.objectContaining({ would: 'rejected', reason });
  expect(told).toEqual([
    ['default', '/a', 200, expect.objectContaining({ route: 'everywhere' })],
    ['default', '/b', 404, expect.objectContaining({ route: null, decision: elsewhere })],
    ['second', '/a', 200, expect.objectContaining({ route: 'everywhere' })],
    ['second', '/b', 200, expect.objectContaining({ route: 'bound' })],
  ]);
});
