import { dirname, resolve } from 'node:path';
import type {
  AdminConfig,
  Credentials,
  ListenerConfig,
  LogConfig,
  ServerConfig,
  StoreConfig,
  UpstreamConfig,
} from '../core/config.ts';
import { type Compilation, keysAt } from './compilation.ts';
import { compileRedis } from './compile-redis.ts';
import type { UpstreamInput } from './schema-upstreams.ts';
import type { Path } from './source.ts';
import { fieldValueProblem, isLoopback } from './words.ts';

/** `undefined` where the section has issues. */
export function compileServer(compilation: Compilation): ServerConfig | undefined {
  const { issues, input } = compilation;
  if (!issues.isClean(['server']) || !issues.isClean(['admin', 'listen'])) return undefined;
  const server = input.server;
  const listeners: ListenerConfig[] = [{ name: 'default', ...server.listen }];
  for (const [name, listener] of Object.entries(server.listeners)) listeners.push({ name, ...listener.listen });
  checkAddresses(compilation, listeners);
  return {
    listeners,
    limits: server.limits,
    timeouts: {
      headersMs: server.timeouts.headers,
      requestMs: server.timeouts.request,
      keepAliveMs: server.timeouts.keepAlive,
      sendMs: server.timeouts.send,
    },
    drainDelayMs: server.drainDelay,
    graceMs: server.grace,
    fastLane: server.fastLane,
    workers: server.workers,
  };
}

function checkAddresses(compilation: Compilation, listeners: readonly ListenerConfig[]): void {
  const admin = { name: 'admin', ...compilation.input.admin.listen };
  const taken = new Map<string, string>();
  for (const listener of [...listeners, admin]) {
    const path = pathOfListener(listener.name);
    if (listener.name === 'default' && keysAt(compilation, ['server', 'listeners']).includes('default')) {
      compilation.issues.add(['server', 'listeners', 'default'], 'the name default belongs to server.listen', 'key');
    }
    if (listener.port === 0) continue;
    const address = `${listener.host}:${listener.port}`;
    const other = taken.get(address);
    if (other !== undefined) compilation.issues.add(path, `${address} is already taken by ${other}`);
    else taken.set(address, path.join('.'));
  }
}

/** Where the file says a listener's address; `admin` is that of operators. */
export function pathOfListener(name: string): readonly string[] {
  if (name === 'default') return ['server', 'listen'];
  return name === 'admin' ? ['admin', 'listen'] : ['server', 'listeners', name, 'listen'];
}

/** `undefined` where the section has issues. */
export function compileAdmin(compilation: Compilation): AdminConfig | undefined {
  const { issues, input } = compilation;
  if (!issues.isClean(['admin'])) return undefined;
  const { listen, token, maxBodyBytes } = input.admin;
  if (token !== '' && !/^[A-Za-z0-9._~+/-]+=*$/.test(token)) {
    issues.add(['admin', 'token'], 'a bearer token is letters, digits and -._~+/, with = at its end alone (RFC 6750)');
  }
  if (token === '' && !isLoopback(listen.host)) {
    const message = `a token is needed where the admin listener is not on loopback (it listens on ${listen.host}); set it, or listen on 127.0.0.1`;
    issues.add(['admin', 'token'], message);
  }
  return { ...listen, token: token === '' ? undefined : token, maxBodyBytes };
}

/** `undefined` where the section has issues. */
export function compileLog({ issues, input }: Compilation): LogConfig | undefined {
  return issues.isClean(['log']) ? input.log : undefined;
}

/** `undefined` where the section has issues. */
export function compileStore(compilation: Compilation): StoreConfig | undefined {
  const { issues, input } = compilation;
  const redis = compileRedis(compilation);
  return issues.isClean(['store']) ? { memory: input.store.memory, redis } : undefined;
}

/** The upstreams that are sound, by name. */
export function compileUpstreams(compilation: Compilation): ReadonlyMap<string, UpstreamConfig> {
  const upstreams = new Map<string, UpstreamConfig>();
  for (const name of keysAt(compilation, ['upstreams'])) {
    const input = compilation.issues.isClean(['upstreams', name]) ? compilation.input.upstreams[name] : undefined;
    if (input) upstreams.set(name, compileUpstream(compilation, name, input));
  }
  return upstreams;
}

function compileUpstream(compilation: Compilation, name: string, input: UpstreamInput): UpstreamConfig {
  return {
    name,
    origin: input.origin,
    connectTimeoutMs: input.connectTimeout,
    headersTimeoutMs: input.headersTimeout ?? input.timeout,
    bodyTimeoutMs: input.bodyTimeout ?? input.timeout,
    totalTimeoutMs: input.totalTimeout ?? input.timeout,
    maxConnections: input.maxConnections,
    maxHeaderBytes: input.maxHeaderBytes,
    maxBodyBytes: input.maxBodyBytes,
    acceptEncoding: input.acceptEncoding,
    framing: input.framing,
    credentials: compileCredentials(compilation, name, input),
    fields: compileFields(compilation, ['upstreams', name, 'fields'], input.fields),
    caFile: compileCaFile(compilation, name, input),
  };
}

function compileCaFile(compilation: Compilation, name: string, input: UpstreamInput): string | undefined {
  if (input.caFile === undefined) return undefined;
  const file = resolve(dirname(compilation.file), input.caFile);
  const problem = compilation.checks.checkCaFile?.(file);
  if (problem !== undefined) compilation.issues.add(['upstreams', name, 'caFile'], problem);
  return file;
}

function compileCredentials(compilation: Compilation, name: string, input: UpstreamInput): Credentials {
  const { query, headers } = input.credentials;
  const lines = compileFields(compilation, ['upstreams', name, 'credentials', 'headers'], headers);
  for (const field of Object.keys(input.fields)) {
    if (!lines.has(field.toLowerCase())) continue;
    compilation.issues.add(
      ['upstreams', name, 'fields', field],
      'is among the credentials of this upstream too',
      'key',
    );
  }
  return { query: new Map(Object.entries(query)), headers: lines };
}

/** Field lines by lower-cased name. */
function compileFields(
  compilation: Compilation,
  path: Path,
  values: Readonly<Record<string, string>>,
): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  for (const [key, value] of Object.entries(values)) {
    const name = key.toLowerCase();
    if (lines.has(name))
      compilation.issues.add([...path, key], `${name} is given twice (field names have no case)`, 'key');
    const problem = fieldValueProblem(value);
    if (problem !== undefined) compilation.issues.add([...path, key], problem);
    lines.set(name, value);
  }
  return lines;
}
