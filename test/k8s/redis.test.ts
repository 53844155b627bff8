import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { IContainer } from 'kubernetes-models/v1';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { loadConfig } from '../../src/config/load.ts';
import type { RedisConfig } from '../../src/core/config.ts';
import { connectRedis } from '../../src/store/redis/client.ts';
import { watchRedisSettings, type RedisFinding } from '../../src/store/redis/startup-check.ts';
import {
  containerNamed,
  environmentOf,
  expanded,
  isStatefulSet,
  type Manifest,
  mountedFile,
  renderManifests,
} from '../support/manifests.ts';
import { leased, startFleet } from '../support/fleet.ts';
import { startOrigin } from '../support/origin.ts';
import { parseSize } from '../support/quantity.ts';
import { freePort } from '../support/redis.ts';
import { systemTool } from '../support/system-tools.ts';

const run = promisify(execFile);
const password = 'aPasswordForTheTest';
let manifests: readonly Manifest[] = [];

beforeAll(async () => {
  manifests = await renderManifests('redis');
}, 300_000);

function redisContainer(): IContainer {
  return containerNamed(manifests, 'redis').container;
}

interface RunningRedis {
  readonly port: number;
  /** By redis-cli as the container's environment makes it log in, or as told. */
  cli(words: readonly string[], environment?: Readonly<Record<string, string>>): Promise<string>;
}

/** The container's own command with the mounted file, on a free port of loopback; further lines go into the file. */
async function startContainer(more: readonly string[] = []): Promise<RunningRedis> {
  const { command = [] } = redisContainer();
  const environment = environmentOf(redisContainer(), () => password);
  const folder = mkdtempSync(join(tmpdir(), 'forecache-k8s-redis-'));
  const file = join(folder, 'redis.conf');
  const port = await freePort();
  const shipped = mountedFile(manifests, 'shared-redis-config', 'redis.conf');
  writeFileSync(file, [shipped, `port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, ...more, ''].join('\n'));
  const words = command.map((word) => expanded(word, environment).replace('/etc/redis/redis.conf', file));
  const child = spawn(await systemTool('redis-server'), words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(async () => {
    await end(child);
    rmSync(folder, { recursive: true });
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += String(chunk)));
  const program = await systemTool('redis-cli');
  const cli = async (
    arguments_: readonly string[],
    env: Readonly<Record<string, string>> = environment,
  ): Promise<string> => {
    const { stdout } = await run(program, ['-p', String(port), ...arguments_], { env });
    return stdout.trim();
  };
  await expect
    .poll(async () => (child.exitCode === null ? cli(['ping']).catch(() => '') : printed), { interval: 10 })
    .toMatch(/NOAUTH|NOPERM|PONG/);
  return { port, cli };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** What the sidecar's configuration says of Redis, with the address of loopback instead of the Service's. */
function sidecarRedis(port: number): RedisConfig {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-k8s-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'forecache.yaml');
  writeFileSync(file, mountedFile(manifests, 'forecache-config', 'forecache.yaml'));
  const loaded = loadConfig(
    file,
    environmentOf(containerNamed(manifests, 'forecache').container, () => password),
  );
  if (!loaded.ok || loaded.value.store.redis === undefined) throw new Error('no Redis in the configuration');
  return { ...loaded.value.store.redis, topology: { kind: 'standalone', host: '127.0.0.1', port } };
}

describe('the Redis of the example', () => {
  it('is one, known by a name without an address of its own', () => {
    const set = manifests.find(isStatefulSet);
    expect(set?.spec?.replicas).toBe(1);
    const service = manifests.find(({ kind, metadata }) => kind === 'Service' && metadata.name === 'shared-redis');
    expect(service).toHaveProperty('spec.clusterIP', 'None');
    expect(set?.spec?.serviceName).toBe(service?.metadata.name);
    expect(service).toHaveProperty(
      'spec.selector',
      set?.spec?.template.metadata?.labels === undefined
        ? {}
        : {
            'app.kubernetes.io/name': set.spec.template.metadata.labels['app.kubernetes.io/name'],
          },
    );
  });

  it('can be reached by the pods of agents alone', () => {
    const policy = manifests.find(({ kind }) => kind === 'NetworkPolicy');
    const agent = manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'agent');
    const label = { 'app.kubernetes.io/name': 'agent' };
    expect(agent).toHaveProperty('spec.template.metadata.labels', expect.objectContaining(label));
    expect(policy).toHaveProperty('spec.ingress', [
      { from: [{ podSelector: { matchLabels: label } }], ports: [{ protocol: 'TCP', port: 'redis' }] },
    ]);
  });

  it('fits into its memory limit with a quarter to spare for connections', () => {
    const limit = parseSize(redisContainer().resources?.limits?.['memory']);
    const [, megabytes] =
      /^maxmemory (\d+)mb$/m.exec(mountedFile(manifests, 'shared-redis-config', 'redis.conf')) ?? [];
    expect(Number(megabytes) * 1024 * 1024).toBe(0.75 * limit);
  });

  it('runs by its command, keeps nothing on disk and passes its probes', async () => {
    const redis = await startContainer();
    const { readinessProbe } = redisContainer();
    const [program, ...words] = readinessProbe?.exec?.command ?? [];
    expect(program).toBe('redis-cli');
    expect(await redis.cli(words)).toBe('PONG');
    await expect(redis.cli(words, { REDISCLI_AUTH: 'anotherPassword' })).rejects.toThrow(/WRONGPASS/);
  });

  it('takes commands of Forecache alone, and only with its password', async () => {
    const redis = await startContainer();
    const asUser = (...words: readonly string[]): Promise<string> => redis.cli(['--user', 'forecache', ...words]);
    expect(await redis.cli(['get', 'forecache:x'], {})).toMatch(/^NOAUTH/);
    expect(await asUser('set', 'forecache:x', '1')).toBe('OK');
    // Only where replicas are asked for, of which the example has none.
    expect(await asUser('wait', '0', '1')).toBe('0');
    expect(await asUser('get', 'elsewhere')).toMatch(/^NOPERM/);
    const forbidden = ['flushall', 'config get *', 'keys *', 'scan 0', 'shutdown', 'acl list'];
    for (const command of forbidden) expect(await asUser(...command.split(' '))).toMatch(/^NOPERM/);
  });

  it('gives its user what the documentation asks for', () => {
    const page = readFileSync(new URL('../../docs/coherence.md', import.meta.url), 'utf8');
    const [, line = ''] = /^user forecache (on .*)$/m.exec(page) ?? [];
    const { command = [] } = redisContainer();
    const rules = command.slice(command.lastIndexOf('on')).map((word) => word.replace('$(REDIS_PASSWORD)', 'PASSWORD'));
    expect(rules).toEqual(line.split(' '));
  });

  it('is as a sidecar wants it, so that the check at the start finds nothing', async () => {
    const redis = await startContainer();
    const links = connectRedis(sidecarRedis(redis.port), { onError: () => undefined });
    onTestFinished(() => links[Symbol.asyncDispose]());
    const found: RedisFinding[] = [];
    const looked = Promise.withResolvers<void>();
    watchRedisSettings({
      link: {
        isReady: links.control.isReady,
        onReady: (callback) => links.control.onReady(callback),
        run: (...call) => links.control.run(...call).finally(() => setImmediate(looked.resolve)),
      },
      key: 'forecache:test',
      config: { minReplicas: 0 },
      onFinding: (finding) => found.push(finding),
    });
    await looked.promise;
    expect(found).toEqual([]);
  });

  it('lets its user do all that a fleet does', { timeout: 60_000 }, async () => {
    const redis = await startContainer(['user admin on nopass ~* &* +@all']);
    const asAdmin = (...words: readonly string[]): Promise<string> =>
      redis.cli(['--user', 'admin', '--no-auth-warning', ...words]);
    // Refused was the look at whether it had started.
    await asAdmin('acl', 'log', 'reset');
    await asAdmin('config', 'resetstat');
    await using origin = await startOrigin(async (request, peer) => {
      if (request.target === '/honoured') {
        // Stored, and when it is asked about again no longer allowed to be.
        if (request.field('if-none-match') !== undefined)
          return peer.respond(304, { etag: '"1"', 'cache-control': 'no-store' });
        return peer.respond(200, { etag: '"1"', 'cache-control': 'no-cache' }, 'something');
      }
      // Until the one that fetches has renewed its lock.
      await expect.poll(() => asAdmin('info', 'commandstats'), { interval: 10 }).toContain('cmdstat_pexpire');
      return peer.respond(200, {}, 'something');
    });
    const url = `redis://forecache:${password}@127.0.0.1:${redis.port}`;
    const [first, second] = await startFleet({
      count: 2,
      redis: `{ url: "${url}", fillLock: 100ms, maxPurges: 10 }`,
      origin: origin.url,
      routes: `
  - { name: forecast, match: /x, upstream: api, ttl: 1h, query: { location: { type: text } }, tags: ["location:{location}"] }
  - { name: honoured, match: /honoured, upstream: api, upstreamCacheControl: honour }
`,
      more: 'warm: { locations: [berlin], jobs: [{ name: day, route: forecast, every: 1h, with: { location: "{location}" } }] }',
    });
    if (first === undefined || second === undefined) throw new Error('no fleet of two');
    for (const sidecar of [first, second]) await leased(sidecar);
    expect((await first.get('/x?location=lima')).status).toBe(200);
    await expect.poll(async () => (await second.get('/x?location=lima')).cacheStatus).toMatch(/; hit; /);
    // More than the log keeps, so that it is cut.
    for (let purge = 0; purge < 12; purge += 1) {
      const { status, body } = await second.call('/api/purge', { tag: 'location:lima', soft: purge % 2 === 0 });
      expect([status, body['complete'], body['missing']]).toEqual([200, true, []]);
    }
    expect((await second.get('/x?location=lima')).status).toBe(200);
    for (let time = 0; time < 2; time += 1) expect((await second.get('/honoured')).status).toBe(200);
    await expect.poll(() => asAdmin('info', 'commandstats')).toContain('cmdstat_unlink');
    expect((await first.call('/api/metrics/cache')).body).toMatchObject({ scope: 'fleet' });
    expect((await first.call('/api/metrics/cache/reset', {})).status).toBe(200);
    await second.process.stopAtOnce();
    expect(await asAdmin('acl', 'log')).toBe('');
    const refused = await asAdmin('info', 'errorstats');
    expect(refused).not.toMatch(/NOPERM|NOAUTH|WRONGPASS/);
  });
});
