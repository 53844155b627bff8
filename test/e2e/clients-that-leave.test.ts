import { expect, it, onTestFinished } from 'vitest';

import { ask } from '../support/http.ts';
import { head } from '../support/hostile.ts';
import { launchServe } from '../support/launch.ts';
import { outcomes, upstreamCalls } from '../support/metrics.ts';
import { silent, startOrigin } from '../support/origin.ts';
import { openRaw } from '../support/raw.ts';

it('clients that leave calls of their own write no line but that of their request, and are counted', async () => {
  const origin = await startOrigin(silent);
  onTestFinished(() => origin.close());
  const program = await launchServe(`
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { requests: true }
upstreams: { api: { origin: "${origin.url}" }, gone: { origin: "http://127.0.0.1:1" } }
routes:
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
  - { name: relayed, match: /r/*, upstream: api, cache: off }
  - { name: down, match: /down, upstream: gone, ttl: 1h }
`);
  const lines = ['HEAD /h/a', 'GET /h/b', 'GET /r/c', 'POST /h/d'];
  for (const [index, line] of lines.entries()) {
    using connection = await openRaw(program.proxy);
    const more = line === 'GET /h/b' ? ['Range: bytes=0-1'] : line.startsWith('POST') ? ['Content-Length: 0'] : [];
    await connection.send(head(`${line} HTTP/1.1`, 'Host: a.test', ...more));
    await origin.arrived(index + 1);
    connection.socket.destroy();
  }
  await expect.poll(() => upstreamCalls(program.admin)).toEqual({ aborted: lines.length });
  await expect.poll(() => outcomes(program.admin)).toEqual({ aborted: lines.length });
  // What upstream is to blame for is told, and so all lines of before are there.
  expect((await ask(program.proxy, '/down')).status).toBe(502);
  await program.says('stderr', /upstream call failed/u);
  const said = program.stderr();
  expect(said.match(/"level":"warn"/gu)).toHaveLength(1);
  expect(said.match(/"outcome":"aborted"/gu)).toHaveLength(lines.length);
});
