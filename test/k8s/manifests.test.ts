import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Deployment, type IDeployment } from 'kubernetes-models/apps/v1';
import {
  ConfigMap,
  type IConfigMap,
  type IContainer,
  type IPodSpec,
  Namespace,
  Secret,
  Service,
} from 'kubernetes-models/v1';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/core/config.ts';
import { parseSize } from '../support/quantity.ts';
import { systemTool } from '../support/system-tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** Validators generated from Kubernetes' OpenAPI document, which throw, and where the types of the same origin are. */
const models = {
  Namespace: { from: 'v1', check: (data: object) => Object.assign(new Namespace(), data).validate() },
  Secret: { from: 'v1', check: (data: object) => Object.assign(new Secret(), data).validate() },
  ConfigMap: { from: 'v1', check: (data: object) => Object.assign(new ConfigMap(), data).validate() },
  Service: { from: 'v1', check: (data: object) => Object.assign(new Service(), data).validate() },
  Deployment: { from: 'apps/v1', check: (data: object) => Object.assign(new Deployment(), data).validate() },
} as const;

function modelOf(manifest: Manifest): (typeof models)[keyof typeof models] {
  const found = Object.entries(models).find(([kind]) => kind === manifest.kind);
  if (found === undefined) throw new Error(`no schema for ${manifest.kind}`);
  return found[1];
}

function isManifest(value: unknown): value is Manifest {
  return typeof value === 'object' && value !== null && 'kind' in value && 'metadata' in value;
}

function asManifest(value: unknown): Manifest {
  if (!isManifest(value)) throw new Error('not a manifest');
  return value;
}

function isDeployment(manifest: Manifest): manifest is Manifest & IDeployment {
  return manifest.kind === 'Deployment';
}

function isConfigMap(manifest: Manifest): manifest is Manifest & IConfigMap {
  return manifest.kind === 'ConfigMap';
}

/** Schemas let unknown members pass, a cluster drops or refuses them: the compiler finds them in the object's literal. */
async function compilerErrors(manifests: readonly Manifest[]): Promise<string> {
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'forecache-k8s-'));
  try {
    const file = join(folder, 'manifests.ts');
    const lines = manifests.map(
      (manifest, i) =>
        `export const m${i}: import('kubernetes-models/${modelOf(manifest).from}').I${manifest.kind} = ${JSON.stringify(manifest)};`,
    );
    writeFileSync(file, lines.join('\n'));
    const flags = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--types',
      'node',
      file,
    ];
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    return await run(process.execPath, [tsc, ...flags], { cwd: folder }).then(
      () => '',
      (error: unknown) => (error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

let manifests: readonly Manifest[] = [];
let pods: readonly IPodSpec[] = [];

function containersOf(pod: IPodSpec): readonly IContainer[] {
  return [...(pod.initContainers ?? []), ...pod.containers];
}

function sidecar(): { readonly pod: IPodSpec; readonly container: IContainer } {
  for (const pod of pods) {
    const container = pod.initContainers?.find(({ name }) => name === 'forecache');
    if (container !== undefined) return { pod, container };
  }
  throw new Error('no pod has a container named forecache');
}

/** The file of a rendered ConfigMap whose name begins so. */
function mounted(prefix: string, file: string): string {
  const found = manifests.filter(isConfigMap).find(({ metadata }) => metadata.name.startsWith(prefix));
  const text = found?.data?.[file];
  if (text === undefined) throw new Error(`no ${file} in a ConfigMap ${prefix}…`);
  return text;
}

function sidecarConfig(): Config {
  const loaded = loadedWith(() => 'a-value-for-the-test');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
  return loaded.value;
}

/** The sidecar's configuration as it loads with these values of its variables. */
function loadedWith(
  valueOf: (variable: NonNullable<IContainer['env']>[number]) => string,
): ReturnType<typeof loadConfig> {
  const folder = mkdtempSync(join(tmpdir(), 'forecache-k8s-'));
  const file = join(folder, 'forecache.yaml');
  writeFileSync(file, mounted('forecache-config', 'forecache.yaml'));
  const names = sidecar().container.env?.map((variable) => [variable.name, valueOf(variable)]) ?? [];
  const loaded = loadConfig(file, Object.fromEntries(names));
  rmSync(folder, { recursive: true });
  return loaded;
}

beforeAll(async () => {
  const kubectl = await systemTool('kubectl');
  const { stdout } = await run(kubectl, ['kustomize', join(root, 'k8s')]);
  manifests = parseAllDocuments(stdout).map((document) => asManifest(document.toJS()));
  pods = manifests.filter(isDeployment).map((manifest) => {
    const pod = manifest.spec?.template.spec;
    if (pod === undefined) throw new Error('a deployment without a pod');
    return pod;
  });
}, 300_000);

describe('the kustomize base', () => {
  it('renders to an agent, its upstreams, and what they need, all in the namespace of the example', () => {
    const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name.replace(/-[0-9a-z]{10}$/, '')}`);
    expect(names.toSorted()).toEqual([
      'ConfigMap agent-script',
      'ConfigMap forecache-config',
      'Deployment agent',
      'Deployment upstreams',
      'Namespace forecache-example',
      'Secret forecache',
      'Service upstreams',
    ]);
    const elsewhere = manifests.filter((manifest) => manifest.metadata.namespace !== 'forecache-example');
    expect(elsewhere.map(({ kind }) => kind)).toEqual(['Namespace']);
  });

  it("keeps Kubernetes' schemas", () => {
    for (const manifest of manifests) expect(() => modelOf(manifest).check(manifest)).not.toThrow();
  });

  it('has no member that Kubernetes does not know', async () => {
    expect(await compilerErrors(manifests)).toBe('');
  });

  it('is checked by checks that can fail', async () => {
    const deployment = manifests.find(isDeployment);
    const misspelt = JSON.stringify(deployment).replace('"livenessProbe"', '"livenesProbe"');
    const mistyped = JSON.stringify(deployment).replace('"replicas":2', '"replicas":"two"');
    expect(() => models.Deployment.check(asManifest(JSON.parse(mistyped)))).toThrow(/replicas/);
    expect(await compilerErrors([asManifest(JSON.parse(misspelt))])).toContain('livenesProbe');
  });

  it('names only ConfigMaps, Secrets and keys that it holds', () => {
    const configMaps = manifests.filter(isConfigMap).map(({ metadata }) => metadata.name);
    const used = pods.flatMap((pod) => pod.volumes?.map((volume) => volume.configMap?.name) ?? []);
    expect(new Set(used)).toEqual(new Set(configMaps));
    const secret = manifests.find(({ kind }) => kind === 'Secret');
    const references = pods
      .flatMap(containersOf)
      .flatMap((container) => container.env ?? [])
      .map((variable) => variable.valueFrom?.secretKeyRef)
      .filter((reference) => reference !== undefined);
    expect(references.length).toBeGreaterThan(0);
    for (const { name, key } of references) {
      expect(name).toBe(secret?.metadata.name);
      expect(secret).toHaveProperty(['stringData', key]);
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
      expect(container.image).toMatch(/^forecache:.+/);
      expect(container.command?.[0] ?? 'node').toBe('node');
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
    expect(config.admin.token).toBe('a-value-for-the-test');
    const { container, pod } = sidecar();
    const volume = pod.volumes?.find(({ configMap }) => configMap?.name?.startsWith('forecache-config'))?.name;
    const mountPath = container.volumeMounts?.find(({ name }) => name === volume)?.mountPath;
    expect(container.args).toEqual(['serve', '--config', `${mountPath}/forecache.yaml`]);
  });

  it('does not start with the secret as it is shipped, and says which value to replace', () => {
    const secret = manifests.find(({ kind }) => kind === 'Secret');
    const shipped: unknown = Reflect.get(secret ?? {}, 'stringData');
    const loaded = loadedWith(({ valueFrom }) =>
      String(Reflect.get(Object(shipped), valueFrom?.secretKeyRef?.key ?? '')),
    );
    const issues = loaded.ok ? [] : loaded.error.map(({ path, message }) => [path, message]);
    expect(issues).toEqual([['admin.token', expect.stringContaining('RFC 6750')]]);
  });

  it('asks upstreams where the simulators listen', () => {
    const service = manifests.find(({ kind }) => kind === 'Service');
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
