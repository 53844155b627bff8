import { expect, it } from 'vitest';

import { launchServe } from '../support/launch.ts';

const yaml = (workers: number): string => `
server: { listen: 127.0.0.1:0, workers: ${workers} }
admin: { listen: 127.0.0.1:0 }
upstreams:
  api: { origin: "http://127.0.0.1:9", credentials: { query: { partner: "\${PARTNER}" } } }
routes:
  - { name: one, match: /one, upstream: api, ttl: 2h, retain: 1h }
`;

it.each([1, 2])('what check notes the log says once at the start, with %i workers', async (workers) => {
  const program = await launchServe(yaml(workers), { env: { PARTNER: '314159' } });
  await program.says('stderr', /"msg":"ready"/);
  program.signal('SIGTERM');
  await program.ended;
  const said = [...program.stderr().matchAll(/^.*"msg":"hardly meant".*$/gm)].map(([line]) => JSON.parse(line));
  expect(said).toMatchObject([
    { level: 'warn', path: 'upstreams.api.credentials.query.partner', line: 5 },
    { level: 'warn', path: 'routes[0].retain', line: 7 },
  ]);
  expect(said[0]).toMatchObject({ note: expect.stringMatching(/^has fewer than 8 characters/) });
  expect(program.stderr()).not.toContain('314159');
});
