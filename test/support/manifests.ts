import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Deployment, type IDeployment, type IStatefulSet, StatefulSet } from 'kubernetes-models/apps/v1';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import {
  ConfigMap,
  type IConfigMap,
  type IContainer,
  type IPodSpec,
  Namespace,
  Secret,
  Service,
} from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { systemTool } from './system-tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

export interface Manifest {
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
  StatefulSet: { from: 'apps/v1', check: (data: object) => Object.assign(new StatefulSet(), data).validate() },
  NetworkPolicy: {
    from: 'networking.k8s.io/v1',
    check: (data: object) => Object.assign(new NetworkPolicy(), data).validate(),
  },
} as const;

function modelOf(manifest: Manifest): (typeof models)[keyof typeof models] {
  const found = Object.entries(models).find(([kind]) => kind === manifest.kind);
  if (found === undefined) throw new Error(`no schema for ${manifest.kind}`);
  return found[1];
}

/** Throws where the manifest does not keep the schema of its kind. */
export function checkSchema(manifest: Manifest): void {
  modelOf(manifest).check(manifest);
}

function isManifest(value: unknown): value is Manifest {
  return typeof value === 'object' && value !== null && 'kind' in value && 'metadata' in value;
}

export function asManifest(value: unknown): Manifest {
  if (!isManifest(value)) throw new Error('not a manifest');
  return value;
}

export function isDeployment(manifest: Manifest): manifest is Manifest & IDeployment {
  return manifest.kind === 'Deployment';
}

export function isStatefulSet(manifest: Manifest): manifest is Manifest & IStatefulSet {
  return manifest.kind === 'StatefulSet';
}

export function isConfigMap(manifest: Manifest): manifest is Manifest & IConfigMap {
  return manifest.kind === 'ConfigMap';
}

/** The pods of all deployments and stateful sets. */
export function podsOf(manifests: readonly Manifest[]): readonly IPodSpec[] {
  return [...manifests.filter(isDeployment), ...manifests.filter(isStatefulSet)].map((manifest) => {
    const pod = manifest.spec?.template.spec;
    if (pod === undefined) throw new Error(`${manifest.kind} ${manifest.metadata.name} has no pod`);
    return pod;
  });
}

/** Those that run before the others, and those. */
export function containersOf(pod: IPodSpec): readonly IContainer[] {
  return [...(pod.initContainers ?? []), ...pod.containers];
}

/** The container of this name, wherever it runs, and its pod. */
export function containerNamed(
  manifests: readonly Manifest[],
  name: string,
): { readonly pod: IPodSpec; readonly container: IContainer } {
  for (const pod of podsOf(manifests)) {
    const container = containersOf(pod).find((each) => each.name === name);
    if (container !== undefined) return { pod, container };
  }
  throw new Error(`no pod has a container named ${name}`);
}

/** The file of a rendered ConfigMap whose name begins so. */
export function mountedFile(manifests: readonly Manifest[], prefix: string, file: string): string {
  const found = manifests.filter(isConfigMap).find(({ metadata }) => metadata.name.startsWith(prefix));
  const text = found?.data?.[file];
  if (text === undefined) throw new Error(`no ${file} in a ConfigMap ${prefix}…`);
  return text;
}

/** What a container's environment is, with `$(NAME)` put in as the kubelet does: only what stands before. */
export function environmentOf(
  container: IContainer,
  secret: (name: string, key: string) => string,
): Readonly<Record<string, string>> {
  const environment: Record<string, string> = {};
  for (const { name, value, valueFrom } of container.env ?? []) {
    const reference = valueFrom?.secretKeyRef;
    environment[name] =
      reference === undefined ? expanded(value ?? '', environment) : secret(reference.name ?? '', reference.key);
  }
  return environment;
}

/** `$(NAME)` of a command or value; one that is not known stays as it is. */
export function expanded(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\((\w+)\)/g, (reference, name: string) => environment[name] ?? reference);
}

/** Schemas let unknown members pass, a cluster drops or refuses them: the compiler finds them in the object's literal. */
export async function compilerErrors(manifests: readonly Manifest[]): Promise<string> {
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

/** Which Redis the example is put together with; `redis` is how it is shipped. */
export type RedisComponent = 'redis' | 'managed-redis' | 'none';

/** What `kubectl kustomize k8s` prints, with that component. */
export async function renderManifests(component: RedisComponent): Promise<readonly Manifest[]> {
  const kubectl = await systemTool('kubectl');
  const folder = mkdtempSync(join(tmpdir(), 'forecache-k8s-'));
  try {
    cpSync(join(root, 'k8s'), folder, { recursive: true });
    const file = join(folder, 'kustomization.yaml');
    const shipped = readFileSync(file, 'utf8');
    const list = 'components:\n  - redis\n';
    if (!shipped.includes(list)) throw new Error('the shipped kustomization does not name the component redis');
    writeFileSync(file, shipped.replace(list, component === 'none' ? '' : `components:\n  - ${component}\n`));
    const { stdout } = await run(kubectl, ['kustomize', folder]);
    return parseAllDocuments(stdout).map((document) => asManifest(document.toJS()));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
