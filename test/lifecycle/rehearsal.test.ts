import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startProxy } from '../../src/demo/proxy-process.ts';
import { rehearsePurges } from '../../src/rehearsal.ts';
import { systemClock } from '../../src/system-clock.ts';
import { ask } from '../support/http.ts';
import { configFile } from '../support/launch.ts';
import { builtMain } from '../support/program.ts';

async function startUpstream(): Promise<string> {
  const server = createServer((_request, response) => void response.end('stored')).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

describe('the rehearsal of purges', () => {
  it('has purges of each kind answered as real ones are', async () => {
    // Rejects where one is answered otherwise than with a 200 and one response that it matched.
    await expect(rehearsePurges(systemClock)).resolves.toBeUndefined();
  });

  it('rejects where a purge is not answered as it must be', async () => {
    // What is put is past its retention at once, so that nothing is matched.
    let readings = 0;
    const leaping = { ...systemClock, nowMs: () => (readings += 3_600_000) };
    await expect(rehearsePurges(leaping)).rejects.toThrow('rehearsed purge: HTTP/1.1 200 OK');
  });

  it('comes with the first fetch, purges nothing that is stored, and is neither counted nor logged', async () => {
    const rehearsed = '"msg":"purges rehearsed"';
    const yaml = `
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug }
upstreams: { api: { origin: "${await startUpstream()}" } }
routes: [{ name: stored, match: /stored, upstream: api, ttl: 1h }]
`;
    const program = await startProxy({
      main: await builtMain(),
      args: ['serve', '--config', configFile(yaml)],
      env: {},
    });
    onTestFinished(async () => void (await program.stopAtOnce()));
    expect((await ask(program.admin, '/readyz')).status).toBe(200);
    expect(program.output()).not.toContain(rehearsed);
    expect((await ask(program.proxy, '/stored')).text).toBe('stored');
    await expect.poll(() => program.output(), { timeout: 10_000 }).toContain(rehearsed);
    const metrics = (await ask(program.admin, '/metrics')).text;
    expect(metrics).toMatch(/^forecache_store_responses\{tier="memory"\} 1$/m);
    expect(metrics).not.toMatch(/^forecache_purges_total\{[^}]*\} [1-9]/m);
    expect((await ask(program.proxy, '/stored')).headers['cache-status']).toMatch(/; hit/);
    expect(program.output()).not.toMatch(/"msg":"(?:purge|the rehearsal of a purge failed)"/);
  });
});
