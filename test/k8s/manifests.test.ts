import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IContainer, IPodSpec } from 'kubernetes-models/v1';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/core/config.ts';
import {
  asManifest,
  checkSchema,
  compilerErrors,
  containerNamed,
  containersOf,
  environmentOf,
  isConfigMap,
  isDeployment,
  type Manifest,
  mountedFile,
  podsOf,
  renderManifests,
  type RedisComponent,
} from '../support/manifests.ts';
import { parseSize } from '../support/quantity.ts';

let manifests: readonly Manifest[] = [];
let pods: readonly IPodSpec[] = [];
const rendered = new Map<RedisComponent, readonly Manifest[]>();

/** The whole of the example with each of its components, and without. */
function everyWay(): readonly Manifest[] {
  return [...rendered.values()].flat();
}

function sidecar(): { readonly pod: IPodSpec; readonly container: IContainer } {
  return containerNamed(manifests, 'forecache');
}

function mounted(prefix: string, file: string): string {
  return mountedFile(manifests, prefix, file);
}

function sidecarConfig(): Config {
  const loaded = loadedWith(() => 'aValueForTheTest');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
  return loaded.value;
}

/** The sidecar's configuration as it loads with these values of its secrets. */
function loadedWith(
  secret: (name: string, key: string) => string,
  component: RedisComponent = 'redis',
): ReturnType<typeof loadConfig> {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-k8s-'));
  const file = join(folder, 'forecache.yaml');
  writeFileSync(file, mounted('forecache-config', 'forecache.yaml'));
  const loaded = loadConfig(
    file,
    environmentOf(containerNamed(rendered.get(component) ?? [], 'forecache').container, secret),
  );
  rmSync(folder, { recursive: true });
  return loaded;
}

/** The value that the example is shipped with. */
function shippedSecret(name: string, key: string): string {
  for (const { kind, metadata, ...rest } of everyWay()) {
    if (kind !== 'Secret' || metadata.name !== name) continue;
    const value: unknown = Reflect.get(Object(Reflect.get(rest, 'stringData')), key);
    if (typeof value === 'string') return value;
  }
  throw new Error(`no Secret ${name} with ${key}`);
}

beforeAll(async () => {
  for (const component of ['none', 'managed-redis', 'redis'] as const) {
    rendered.set(component, await renderManifests(component));
  }
  manifests = rendered.get('redis') ?? [];
  pods = podsOf(everyWay());
}, 300_000);

/** `Kind name`, without the digests that kustomize puts behind generated names. */
function namesOf(component: RedisComponent): readonly string[] {
  return (rendered.get(component) ?? [])
    .map(({ kind, metadata }) => `${kind} ${metadata.name.replace(/-[0-9a-z]{10}$/, '')}`)
    .toSorted();
}

describe('the example', () => {
  const base = [
    'ConfigMap agent-script',
    'ConfigMap forecache-config',
    'Deployment agent',
    'Deployment upstreams',
    'Namespace forecache-example',
    'Secret forecache',
    'Service upstreams',
  ];

  it('renders to an agent, its upstreams, and what they need', () => {
    expect(namesOf('none')).toEqual(base);
  });

  it('is shipped with a Redis of its own beside them', () => {
    const redis = [
      'ConfigMap shared-redis-config',
      'NetworkPolicy shared-redis',
      'Secret shared-redis',
      'Service shared-redis',
      'StatefulSet shared-redis',
    ];
    expect(namesOf('redis')).toEqual([...base, ...redis].toSorted());
  });

  it('needs no more than an address where Redis is managed elsewhere', () => {
    expect(namesOf('managed-redis')).toEqual([...base, 'Secret shared-redis'].toSorted());
  });

  it('is all in the namespace of the example', () => {
    const elsewhere = everyWay().filter((manifest) => manifest.metadata.namespace !== 'forecache-example');
    expect(new Set(elsewhere.map(({ kind }) => kind))).toEqual(new Set(['Namespace']));
  });

  it("keeps Kubernetes' schemas", () => {
    for (const manifest of everyWay()) expect(() => checkSchema(manifest)).not.toThrow();
  });

  it('has no member that Kubernetes does not know', async () => {
    expect(await compilerErrors(everyWay())).toBe('');
  });

  it('is checked by checks that can fail', async () => {
    const deployment = manifests.find(isDeployment);
    const misspelt = JSON.stringify(deployment).replace('"livenessProbe"', '"livenesProbe"');
    const mistyped = JSON.stringify(deployment).replace('"replicas":2', '"replicas":"two"');
    expect(() => checkSchema(asManifest(JSON.parse(mistyped)))).toThrow(/replicas/);
    expect(await compilerErrors([asManifest(JSON.parse(misspelt))])).toContain('livenesProbe');
  });

  it.each(['none', 'redis', 'managed-redis'] as const)('names only what it holds: %s', (component) => {
    const all = rendered.get(component) ?? [];
    const configMaps = all.filter(isConfigMap).map(({ metadata }) => metadata.name);
    const used = podsOf(all).flatMap((pod) => pod.volumes?.map((volume) => volume.configMap?.name) ?? []);
    expect(new Set(used)).toEqual(new Set(configMaps));
    const references = podsOf(all)
      .flatMap(containersOf)
      .flatMap((container) => container.env ?? [])
      .map((variable) => variable.valueFrom?.secretKeyRef)
      .filter((reference) => reference !== undefined);
    expect(references.length).toBeGreaterThan(0);
    for (const { name, key } of references) {
      const secret = all.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === name);
      expect(secret).toHaveProperty(['stringData', key]);
    }
  });

  it('has no Service whose name would set a variable of Redis in every pod', () => {
    const services = everyWay().filter(({ kind }) => kind === 'Service');
    expect(services.map(({ metadata }) => metadata.name)).not.toContain('redis');
    for (const component of ['redis', 'managed-redis'] as const) {
      expect(containerNamed(rendered.get(component) ?? [], 'forecache').pod.enableServiceLinks).toBe(false);
    }
  });
});

describe('every container', () => {
  it('keeps the restricted pod security standard, on a root file system that it cannot write', () => {
    for (const pod of pods) {
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(pod.hostNetwork ?? pod.hostPID ?? pod.hostIPC).toBeUndefined();
      for (const container of containersOf(pod)) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      }
    }
  });

  it('asks for processor and memory and is held to limits', () => {
    for (const { resources } of pods.flatMap(containersOf)) {
      for (const kind of ['cpu', 'memory']) {
        expect(resources?.requests).toHaveProperty(kind);
        expect(resources?.limits).toHaveProperty(kind);
      }
    }
  });

  it('has a command that its image can run without a shell', () => {
    for (const container of pods.flatMap(containersOf)) {
      expect(container.image).toMatch(/^(forecache|redis):\d+\.\d+\.\d+/);
      const programs = container.image?.startsWith('redis') === true ? ['redis-server'] : [undefined, 'node'];
      expect(programs).toContain(container.command?.[0]);
    }
  });
});

describe('the sidecar', () => {
  it('is a native one: an init container that is always restarted, with the three probes on the admin port', () => {
    const { container } = sidecar();
    expect(container.restartPolicy).toBe('Always');
    expect(container.ports).toContainEqual(expect.objectContaining({ name: 'admin', containerPort: 9090 }));
    expect(container.startupProbe?.httpGet).toEqual({ path: '/readyz', port: 'admin' });
    expect(container.readinessProbe?.httpGet).toEqual({ path: '/readyz', port: 'admin' });
    expect(container.livenessProbe?.httpGet).toEqual({ path: '/healthz', port: 'admin' });
  });

  it('runs a configuration that loads, open to the pod alone but for the admin listener, which wants a token', () => {
    const config = sidecarConfig();
    expect(config.server.listeners.map(({ host, port }) => [host, port])).toEqual([['127.0.0.1', 8080]]);
    expect([config.admin.host, config.admin.port]).toEqual(['0.0.0.0', 9090]);
    expect(config.admin.token).toBe('aValueForTheTest');
    const { container, pod } = sidecar();
    const volume = pod.volumes?.find(({ configMap }) => configMap?.name?.startsWith('forecache-config'))?.name;
    const mountPath = container.volumeMounts?.find(({ name }) => name === volume)?.mountPath;
    expect(container.args).toEqual(['serve', '--config', `${mountPath}/forecache.yaml`]);
  });

  it('does not start with the secret as it is shipped, and says which value to replace', () => {
    const loaded = loadedWith(shippedSecret);
    const issues = loaded.ok ? [] : loaded.error.map(({ path, message }) => [path, message]);
    expect(issues).toEqual([
      ['admin.token', expect.stringContaining('RFC 6750')],
      ['store.redis', expect.stringContaining('REDIS_URL')],
    ]);
    const managed = loadedWith(shippedSecret, 'managed-redis');
    expect(managed.ok ? [] : managed.error.map(({ path }) => path)).toEqual(['admin.token', 'store.redis']);
  });

  it('shares the Redis of the example where that is, and keeps to its memory without', () => {
    const service = manifests.find(({ kind, metadata }) => kind === 'Service' && metadata.name === 'shared-redis');
    expect(service).toHaveProperty('spec.ports.0.port', 6379);
    expect(sidecarConfig().store.redis).toMatchObject({
      topology: { kind: 'standalone', host: service?.metadata.name, port: 6379 },
      username: 'forecache',
      password: 'aValueForTheTest',
      keyPrefix: 'forecache',
    });
    const alone = loadedWith(() => 'aValueForTheTest', 'none');
    expect(alone.ok && alone.value.store.redis).toBe(undefined);
  });

  it('reaches a managed Redis by the URL that it is given, TLS and all', () => {
    const url = 'rediss://someone:pass%2Fword@redis.example:6380/2';
    const loaded = loadedWith((_, key) => (key === 'url' ? url : 'aValueForTheTest'), 'managed-redis');
    expect(loaded.ok && loaded.value.store.redis).toMatchObject({
      topology: { kind: 'standalone', host: 'redis.example', port: 6380 },
      username: 'someone',
      password: 'pass/word',
      database: 2,
      tls: {},
    });
  });

  it('asks upstreams where the simulators listen', () => {
    const service = manifests.find(({ kind, metadata }) => kind === 'Service' && metadata.name === 'upstreams');
    const origins = [...sidecarConfig().upstreams.values()].map(({ origin }) => new URL(origin));
    expect(origins.map(({ hostname }) => hostname)).toEqual([service?.metadata.name, service?.metadata.name]);
    expect(service).toHaveProperty('spec.ports.0.port', Number(origins[0]?.port));
    expect(service).toHaveProperty('spec.ports.1.port', Number(origins[1]?.port));
  });

  it('has time to drain before it is killed, 10 seconds of the agent included', () => {
    const { server } = sidecarConfig();
    const neededMs = 10_000 + server.drainDelayMs + server.graceMs;
    expect(neededMs).toBeLessThanOrEqual((sidecar().pod.terminationGracePeriodSeconds ?? 30) * 1000);
  });

  it('stores less than its memory limit leaves beside Node and bodies in flight', () => {
    const limit = parseSize(sidecar().container.resources?.limits?.['memory']);
    const beside = 256 * 1024 * 1024;
    expect(sidecarConfig().store.memory.maxBytes + beside).toBeLessThanOrEqual(limit);
  });
});

describe('the example agent', () => {
  it('asks where it is told until it is told to stop', async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.setHeader('cache-status', 'forecache; hit');
      response.end('{}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const folder = mkdtempSync(join(tmpdir(), 'forecache-agent-'));
    writeFileSync(join(folder, 'agent.mjs'), mounted('agent-script', 'agent.mjs'));
    const agent = spawn(process.execPath, [join(folder, 'agent.mjs')], {
      env: { FORECACHE_URL: `http://127.0.0.1:${port}`, PAUSE_MS: '600000' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    try {
      for await (const chunk of agent.stdout) {
        printed += String(chunk);
        if (printed.split('\n').length > 5) agent.kill('SIGTERM');
      }
      if (agent.exitCode === null) await once(agent, 'exit');
      expect(agent.exitCode).toBe(0);
      expect(printed).toMatch(/^200 [\d.]+ ms {2}\/weather\/forecast\?location=Berlin {2}forecache; hit\n/);
      expect(new Set(asked).size).toBe(5);
    } finally {
      agent.kill('SIGKILL');
      server.close();
      rmSync(folder, { recursive: true });
    }
  });
});
