import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';

import { ask, json } from '../support/http.ts';
import { configFile, launch, launchServe, runProgram, type Launch, type Served } from '../support/launch.ts';
import { samples } from '../support/metrics.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { startRedis } from '../support/redis.ts';
import { anotherAskMs } from '../support/signals.ts';
import { askEach, servedBy } from '../support/workers.ts';

const workers = 2;

function yamlOf(origin: Pick<Origin, 'url'>, more = '', listen = '127.0.0.1:0'): string {
  return `
server: { listen: "${listen}", workers: ${workers} }
admin: { listen: 127.0.0.1:0 }
upstreams: { api: { origin: "${origin.url}", timeout: 10s } }
routes:
  - { name: plain, match: /plain/*, upstream: api, ttl: 1h }
${more}
`;
}

async function versions(): Promise<Origin> {
  let version = 0;
  const origin = await startOrigin((_request, peer) => {
    version += 1;
    return peer.respond(200, {}, `version ${version}`);
  });
  onTestFinished(() => origin.close());
  return origin;
}

/** Addresses as `askEach` takes them. */
function placesOf({ proxy, admin }: Served): { readonly origin: string; readonly admin: string } {
  return { origin: proxy, admin };
}

function post(admin: string, path: string, body: unknown): ReturnType<typeof ask> {
  return ask(admin, path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
}

/** A program one of whose workers dies of a bug when it is told to. */
async function serveWithBug(yaml: string): Promise<Served & { readonly breakOne: () => void }> {
  const file = join(tmpdir(), `forecache-bug-${process.pid}-${Math.trunc(performance.now() * 1000)}`);
  onTestFinished(() => rmSync(file, { force: true }));
  const preload = fileURLToPath(new URL('../support/worker-bug.ts', import.meta.url));
  const node: Launch['node'] = [process.execPath, '--import', preload];
  const served = await launchServe(yaml, { node, env: { WORKER_BUG: file } });
  return { ...served, breakOne: () => writeFileSync(file, '') };
}

describe('the program with workers', () => {
  it('says where it listens when all of them do, on one port that it chose itself, and ends as asked', async () => {
    const served = await launchServe(yamlOf(await versions()));
    const ready = json(await ask(served.admin, '/readyz'));
    expect(ready).toEqual({ state: 'ready' });
    const replies = await askEach(placesOf(served), workers, '/plain/a');
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
    served.signal('SIGTERM');
    expect(await served.ended).toEqual({ code: 0, signal: null });
    expect(served.stdout()).toMatch(/^forecache ready: proxy http:\/\/127\.0\.0\.1:[1-9]\d* admin \S+\n$/);
    const lines = served.stderr().trimEnd().split('\n');
    const told = lines.map((line): { msg: string; worker?: number } => JSON.parse(line));
    expect(told.filter(({ msg }) => msg === 'closing').map(({ worker }) => worker)).toEqual(
      expect.arrayContaining([undefined, 1, 2]),
    );
  });

  it('ends at once with the second signal, whatever is under way', async () => {
    const origin = await startOrigin(() => undefined);
    onTestFinished(() => origin.close());
    const served = await launchServe(yamlOf(origin));
    const waiting = ask(served.proxy, '/plain/a').then(
      () => 'answered',
      () => 'cut',
    );
    await origin.arrived(1);
    served.signal('SIGTERM');
    await served.says('stderr', /"closing"/);
    await delay(anotherAskMs);
    served.signal('SIGTERM');
    expect(await served.ended).toEqual({ code: 1, signal: null });
    expect(await waiting).toBe('cut');
  });

  it('does not start where another one listens there with workers of its own', async () => {
    const origin = await versions();
    const served = await launchServe(yamlOf(origin));
    const file = configFile(yamlOf(origin, '', new URL(served.proxy).host));
    const { code, stderr, stdout } = await runProgram(['serve', '--config', file]);
    expect(stderr).toMatch(/forecache: cannot start: listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+\n/);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  });

  it('goes on where one of them dies of a bug, with all that it had counted', async () => {
    const served = await serveWithBug(yamlOf(await versions()));
    const { length } = await askEach(placesOf(served), workers, '/plain/a');
    served.breakOne();
    await served.says('stderr', /"a worker has ended and is started again"/);
    await expect.poll(async () => (await samples(served.admin)).get('forecache_workers')).toBe(workers);
    expect(served.stderr()).toContain('a bug of a test');
    const { body } = await ask(served.admin, '/api/metrics/cache');
    expect(JSON.parse(body.toString())).toMatchObject({ requests: length });
    await askEach(placesOf(served), workers, '/plain/a');
    const purged = await post(served.admin, '/api/purge', { all: true });
    expect(json(purged)).toMatchObject({ complete: true, matched: workers });
    served.signal('SIGTERM');
    expect(await served.ended).toEqual({ code: 0, signal: null });
  });

  it('is refused where a limit cannot be divided among so many', async () => {
    const yaml = yamlOf({ url: 'http://127.0.0.1:1' }).replace('timeout: 10s', 'timeout: 10s, maxConnections: 1');
    const { code, stderr } = await runProgram(['check', '--config', configFile(yaml)]);
    expect(code).toBe(64);
    expect(stderr).toMatch(/server\.workers: upstreams\.api\.maxConnections can be divided among 1 at most/);
  });
});

describe('workers on Redis', () => {
  it('are processes of the fleet: a purge is true of each when it returns, and names them', async () => {
    await using redis = await startRedis();
    const origin = await versions();
    const store = `store: { redis: { url: "redis://127.0.0.1:${redis.port}" } }`;
    const served = await launchServe(yamlOf(origin, store));
    const alone = await launch({
      args: ['serve', '--config', configFile(yamlOf(origin, store).replace(`workers: ${workers}`, 'workers: 1'))],
    });
    const [, other = ''] = await alone.says('stdout', /proxy (http:\S+)/);
    await expect
      .poll(async () => new Set((await askEach(placesOf(served), workers, '/plain/a')).map(({ text }) => text)).size)
      .toBe(1);
    for (let round = 0; round < 3; round += 1) {
      const old = (await ask(other, '/plain/a')).text;
      const purged = await post(served.admin, '/api/purge', { all: true });
      expect(json(purged)).toMatchObject({ complete: true, missing: [] });
      const { sidecars } = JSON.parse(purged.text);
      // The coordinator, its workers, and the other program.
      expect(sidecars).toHaveLength(1 + workers + 1);
      const texts = new Set((await askEach(placesOf(served), workers, '/plain/a')).map(({ text }) => text));
      expect(texts.has(old)).toBe(false);
      expect((await ask(other, '/plain/a')).text).not.toBe(old);
    }
    expect((await servedBy(served.admin)).size).toBe(workers);
    const { body } = await ask(served.admin, '/api/metrics/cache');
    expect(JSON.parse(body.toString())).toMatchObject({ scope: 'fleet', sidecars: 1 + workers + 1 });
    served.signal('SIGTERM');
    expect(await served.ended).toEqual({ code: 0, signal: null });
  });
});
