import { expect } from 'vitest';
import { type Origin, type OriginScript, startOrigin } from './origin.ts';
import { type Ask, type Reply } from './http.ts';
import { startTestProxy } from './proxy.ts';
import { converse, type Conversation, type ConverseOptions, openRaw, type RawConnection } from './raw.ts';
import type { Clock } from '../../src/cache/ports.ts';

/** A proxy under attack and the upstream behind it. */
export interface Stage extends AsyncDisposable {
  readonly origin: Origin;
  /** Base URL of the data listener. */
  readonly url: string;
  readonly admin: string;
  get(target: string, options?: Ask): Promise<Reply>;
  /** A JSON call to the admin listener. */
  call(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: unknown }>;
  /** See `converse` of test/support/raw.ts. */
  converse(pieces: string | Buffer | readonly (string | Buffer)[], options?: ConverseOptions): Promise<Conversation>;
  open(): Promise<RawConnection>;
  /** Targets that upstream was asked for, the probes of {@link Stage.sound} left out. */
  asked(): readonly string[];
  /** Keys of all that is stored, the probes of {@link Stage.sound} left out. */
  stored(): Promise<readonly string[]>;
  /**
   * Fails unless the proxy serves a cached and a relayed request, each on a connection of its own, with exactly the
   * answers of upstream.
   */
  sound(): Promise<void>;
}

export interface StageOptions {
  /** What upstream does with everything but the probes; {@link echo} where left out. */
  readonly script?: OriginScript;
  /** YAML in the place of {@link plainRoutes}; the routes of the probes are always there. */
  readonly routes?: string;
  /** Members of `server:` in flow style. */
  readonly server?: string;
  /** Members of `admin:` in flow style. */
  readonly admin?: string;
  /** Members of the upstream in flow style. */
  readonly upstream?: string;
  /** Further members of the file. */
  readonly more?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

/** One route of each kind: `/c/*` goes by its rule, `/h/*` by upstream's word, `/r/*` is relayed. */
export const plainRoutes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;

/** Script: answers with what was asked, so that a wrong answer shows whose it is. */
export const echo: OriginScript = (request, peer) =>
  peer.respond(200, { 'Content-Type': 'application/json' }, told(request.method, request.target));

/** The content of {@link echo}. */
export function told(method: string, target: string): string {
  return JSON.stringify({ method, target });
}

/** The head of a GET over HTTP/1.1 that is answered on a connection of its own. */
export function get(target: string, ...lines: readonly string[]): string {
  return head(`GET ${target} HTTP/1.1`, 'Host: api.test', 'Connection: close', ...lines);
}

export function head(...lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

export async function startStage(options: StageOptions = {}): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const script = options.script ?? echo;
  const origin = stack.use(
    await startOrigin((request, peer) =>
      request.target.startsWith('/probe/') ? echo(request, peer) : script(request, peer),
    ),
  );
  const proxy = stack.use(
    await startTestProxy({
      yaml: yamlOf(origin.url, options),
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    }),
  );
  const owned = stack.move();
  let probes = 0;
  const stage: Stage = {
    origin,
    url: proxy.origin,
    admin: proxy.admin,
    get: (target, asked) => proxy.get(target, asked),
    call: (method, path, body) => proxy.call(method, path, body),
    converse: (pieces, how) => converse(proxy.origin, pieces, how),
    open: () => openRaw(proxy.origin),
    asked: () => origin.requests.map((one) => one.target).filter((target) => !target.startsWith('/probe/')),
    stored: async () => {
      const listed = await proxy.call('GET', '/api/stored?limit=1000');
      return keysOf(listed.body).filter((key) => !key.startsWith('probe'));
    },
    sound: async () => {
      probes += 1;
      for (const [kind, target] of [
        ['cached', `/probe/cached/${probes}`],
        ['relayed', `/probe/relayed/${probes}`],
      ] as const) {
        const { replies, rest, end } = await converse(proxy.origin, get(target));
        expect(replies.map((reply) => [reply.status, reply.text])).toEqual([[200, told('GET', target)]]);
        expect([kind, rest.length, end]).toEqual([kind, 0, 'fin']);
        expect(origin.requests.filter((one) => one.target === target)).toHaveLength(1);
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return stage;
}

function member(text: string | undefined): string {
  return text === undefined ? '' : `, ${text}`;
}

function yamlOf(origin: string, options: StageOptions): string {
  return `
server: { listen: 127.0.0.1:0${member(options.server)} }
admin: { listen: 127.0.0.1:0${member(options.admin)} }
log: { level: silent }
upstreams:
  api: { origin: "${origin}"${options.upstream?.includes('timeout:') === true ? '' : ', timeout: 5s'}${member(options.upstream)} }
  probe: { origin: "${origin}", timeout: 5s }
routes:
  - { name: probe-cached, match: /probe/cached/*, upstream: probe, ttl: 10m }
  - { name: probe-relayed, match: /probe/relayed/*, upstream: probe, cache: off }
${options.routes ?? plainRoutes}
${options.more ?? ''}
`;
}

function keysOf(body: unknown): readonly string[] {
  if (typeof body !== 'object' || body === null || !('stored' in body) || !Array.isArray(body.stored)) {
    throw new Error(`no list of what is stored: ${JSON.stringify(body)}`);
  }
  return body.stored.map((item: { readonly key: string }) => item.key);
}
