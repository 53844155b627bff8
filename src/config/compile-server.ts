import { dirname, resolve } from 'node:path';
import type {
  AdminConfig,
  ListenAddress,
  ListenerConfig,
  LogConfig,
  ServerConfig,
  StoreConfig,
  UpstreamConfig,
} from '../core/config.ts';
import { readName } from '../core/read-name.ts';
import { type Compilation, keysAt } from './compilation.ts';
import { compileRedis } from './compile-redis.ts';
import { unlessRefused } from './refused.ts';
import type { UpstreamInput } from './schema-upstreams.ts';
import type { Path } from './source.ts';
import { fieldValueProblem, isLoopback } from './words.ts';

/** `undefined` where something that it needs was refused. */
export function compileServer(compilation: Compilation): ServerConfig | undefined {
  checkAddresses(compilation);
  return unlessRefused(() => {
    const { server } = compilation.input;
    const listeners: ListenerConfig[] = [{ name: 'default', ...server.listen }];
    for (const [name, listener] of Object.entries(server.listeners)) listeners.push({ name, ...listener.listen });
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
  });
}

function checkAddresses(compilation: Compilation): void {
  const { input, issues } = compilation;
  const names = keysAt(compilation, ['server', 'listeners']);
  if (names.includes('default')) {
    issues.add(['server', 'listeners', 'default'], 'the name default belongs to server.listen', 'key');
  }
  const taken = new Map<string, string>();
  const check = (path: Path, read: () => ListenAddress | undefined): void => {
    const listen = unlessRefused(read);
    if (listen === undefined || listen.port === 0) return;
    const address = `${listen.host}:${listen.port}`;
    const other = taken.get(address);
    if (other !== undefined) issues.add(path, `${address} is already taken by ${other}`);
    else taken.set(address, path.join('.'));
  };
  check(pathOfListener('default'), () => input.server.listen);
  for (const name of names) check(['server', 'listeners', name, 'listen'], () => input.server.listeners[name]?.listen);
  check(pathOfListener('admin'), () => input.admin.listen);
}

/** Where the file says a listener's address; `admin` is that of operators. */
export function pathOfListener(name: string): readonly string[] {
  if (name === 'default') return ['server', 'listen'];
  return name === 'admin' ? ['admin', 'listen'] : ['server', 'listeners', name, 'listen'];
}

/** `undefined` where something that it needs was refused. */
export function compileAdmin(compilation: Compilation): AdminConfig | undefined {
  const { issues, input } = compilation;
  const place = ['admin', 'token'];
  unlessRefused(() => {
    const { token } = input.admin;
    if (token === '' || /^[A-Za-z0-9._~+/-]+=*$/.test(token)) return;
    issues.add(place, 'a bearer token is letters, digits and -._~+/, with = at its end alone (RFC 6750)');
  });
  unlessRefused(() => {
    const { listen, token } = input.admin;
    if (token !== '' || isLoopback(listen.host)) return;
    const message = `a token is needed where the admin listener is not on loopback (it listens on ${listen.host}); set it, or listen on 127.0.0.1`;
    issues.add(place, message);
  });
  return unlessRefused(() => {
    const { listen, token, maxBodyBytes } = input.admin;
    return { ...listen, token: token === '' ? undefined : token, maxBodyBytes };
  });
}

/** `undefined` where something that it needs was refused. */
export function compileLog({ input }: Compilation): LogConfig | undefined {
  return unlessRefused(() => ({ level: input.log.level, requests: input.log.requests }));
}

/** `undefined` where something that it needs was refused. */
export function compileStore(compilation: Compilation): StoreConfig | undefined {
  const { input } = compilation;
  const redis = compileRedis(compilation);
  return unlessRefused(() => ({ memory: { maxBytes: input.store.memory.maxBytes }, redis }));
}

/** The upstreams of which nothing was refused, by name. */
export function compileUpstreams(compilation: Compilation): ReadonlyMap<string, UpstreamConfig> {
  const upstreams = new Map<string, UpstreamConfig>();
  for (const name of keysAt(compilation, ['upstreams'])) {
    const input = unlessRefused(() => compilation.input.upstreams[name]);
    const upstream = input && compileUpstream(compilation, name, input);
    if (upstream) upstreams.set(name, upstream);
  }
  return upstreams;
}

function compileUpstream(compilation: Compilation, name: string, input: UpstreamInput): UpstreamConfig | undefined {
  const at = ['upstreams', name];
  const query = unlessRefused(() => input.credentials.query);
  const headers = unlessRefused(() =>
    compileFields(compilation, [...at, 'credentials', 'headers'], input.credentials.headers),
  );
  const fields = unlessRefused(() => compileFields(compilation, [...at, 'fields'], input.fields));
  if (headers) unlessRefused(() => checkFields(compilation, [...at, 'fields'], { fields: input.fields, headers }));
  const caFile = unlessRefused(() => compileCaFile(compilation, name, input));
  if (!query || !headers || !fields) return undefined;
  return unlessRefused(() => ({
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
    credentials: { query: new Map(Object.entries(query)), headers },
    fields,
    caFile,
  }));
}

function compileCaFile(compilation: Compilation, name: string, input: UpstreamInput): string | undefined {
  if (input.caFile === undefined) return undefined;
  const file = resolve(dirname(compilation.file), input.caFile);
  const problem = compilation.checks.checkCaFile?.(file);
  if (problem !== undefined) compilation.issues.add(['upstreams', name, 'caFile'], problem);
  return file;
}

/** No field is both a secret and none. */
function checkFields(
  { issues }: Compilation,
  path: Path,
  given: { readonly fields: UpstreamInput['fields']; readonly headers: ReadonlyMap<string, string> },
): void {
  const secret = new Set([...given.headers.keys()].map(readName));
  for (const field of Object.keys(given.fields)) {
    if (!secret.has(readName(field.toLowerCase()))) continue;
    issues.add([...path, field], 'is among the credentials of this upstream too', 'key');
  }
}

/** Field lines by lower-cased name; a value that was refused stands there as empty, since its name is one all the same. */
function compileFields(
  compilation: Compilation,
  path: Path,
  values: Readonly<Record<string, string>>,
): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  for (const key of Object.keys(values)) {
    const name = key.toLowerCase();
    if (lines.has(name))
      compilation.issues.add([...path, key], `${name} is given twice (field names have no case)`, 'key');
    const value = unlessRefused(() => values[key]) ?? '';
    const problem = fieldValueProblem(value);
    if (problem !== undefined) compilation.issues.add([...path, key], problem);
    lines.set(name, value);
  }
  return lines;
}
