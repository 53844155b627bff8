import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startProxy } from '../../src/demo/proxy-process.ts';
import { rehearsePurges, rehearseTold } from '../../src/rehearsal.ts';
import { systemClock } from '../../src/system-clock.ts';
import { rehearsals } from '../../src/workers/rehearsals.ts';
import { buildFirst } from '../support/build-first.ts';
import { ask } from '../support/http.ts';
import { configFile } from '../support/launch.ts';
import { builtMain } from '../support/program.ts';

buildFirst();

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

  it('purges each kind in a thread that is told of purges, and leaves no timer behind', async () => {
    const waiting = new Set<object>();
    const after = (ms: number, then: () => void): (() => void) => {
      const timer = {};
      waiting.add(timer);
      const cancel = systemClock.after(ms, () => {
        waiting.delete(timer);
        then();
      });
      return () => {
        waiting.delete(timer);
        cancel();
      };
    };
    await rehearseTold({ ...systemClock, after });
    expect(waiting.size).toBe(0);
  });

  it('has one thread after another rehearse, where there are several', async () => {
    const under: string[] = [];
    const order: string[] = [];
    const done = Promise.withResolvers<void>();
    const worker = (place: number) => ({
      place,
      call: async (name: string): Promise<never> => {
        under.push(`${name} ${place}`);
        expect(under).toHaveLength(1);
        await new Promise((resolve) => void setImmediate(resolve));
        order.push(...under.splice(0));
        if (place === 3) done.resolve();
        // What a worker that has ended says; the next one rehearses all the same.
        throw new Error('the worker has ended');
      },
    });
    const lines: string[] = [];
    const say = (_fields: unknown, message: string) => void lines.push(message);
    const heard = rehearsals(systemClock, { debug: say, error: say });
    for (const place of [1, 2, 3]) heard(worker(place));
    await done.promise;
    expect(order).toEqual(['rehearse 1', 'rehearse 2', 'rehearse 3']);
    expect(lines[0]).toBe('purges rehearsed');
  });

  it('comes to each of several workers with what it fetches first', async () => {
    const yaml = `
server: { listen: 127.0.0.1:0, workers: 2 }
admin: { listen: 127.0.0.1:0 }
log: { level: debug }
upstreams: { api: { origin: "${await startUpstream()}" } }
routes: [{ name: stored, match: /stored/*, upstream: api, ttl: 1h }]
`;
    const program = await startProxy({
      main: await builtMain(),
      args: ['serve', '--config', configFile(yaml)],
      env: {},
    });
    onTestFinished(async () => void (await program.stopAtOnce()));
    const rehearsed = (): number => program.output().split('"msg":"purges rehearsed in a worker"').length - 1;
    let asked = 0;
    // A new connection each time: the kernel chooses the worker.
    await expect
      .poll(
        async () => {
          asked += 1;
          await ask(program.proxy, `/stored/${asked}`);
          return rehearsed();
        },
        { timeout: 20_000 },
      )
      .toBe(2);
    expect(program.output()).toContain('"msg":"purges rehearsed"');
    expect(program.output()).not.toMatch(
      /"msg":"(?:purge|the rehearsal of a purge failed|a worker did not rehearse purges)"/,
    );
  }, 30_000);
});
