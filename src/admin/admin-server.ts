import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../cache/ports.ts';
import type { AdminConfig } from '../core/config.ts';
import type { Problem } from '../core/problem.ts';
import { answerPurge, endpointsOf, type Endpoint } from './endpoints.ts';
import { createGuard, type Guard } from './guard.ts';
import { problemReply, sendReply, type Reply } from './reply.ts';
import type { AdminServices } from './services.ts';
import { Turns } from './turns.ts';

export interface AdminServerOptions {
  readonly config: AdminConfig;
  readonly services: AdminServices;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: { readonly error: (fields: Readonly<Record<string, unknown>>, message: string) => void };
  /** Of the program, for the OpenAPI document. */
  readonly version: string;
  /** Hears the option of a limit that a call hit. */
  readonly onLimit?: (option: string) => void;
  /** Tests have shorter ones. */
  readonly limits?: AdminLimits;
}

export interface AdminServer extends AsyncDisposable {
  /** Serves a connection that came by another way than {@link listen}. */
  accept(connection: Duplex): void;
  /** Rejects where the address cannot be bound. The port is the real one. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Takes no more connections, lets what is under way end within two seconds, then cuts. */
  close(): Promise<void>;
}

/** What one client of the admin listener may take. Milliseconds, bytes. */
export interface AdminLimits {
  readonly connections: number;
  /** Requests of a connection that are answered, or wait for those before them. */
  readonly pipelined: number;
  readonly headerBytes: number;
  readonly headersMs: number;
  readonly requestMs: number;
  /** That a client may take nothing of its answer. */
  readonly sendMs: number;
  readonly keepAliveMs: number;
  /** How often the times are looked at. */
  readonly checkEveryMs: number;
  /** That calls have to end when the listener closes. */
  readonly closeMs: number;
}

/** Without options: an operator, a dashboard or two, a scraper and probes; whoever needs more is not one of them. */
export const adminLimits: AdminLimits = {
  connections: 256,
  pipelined: 8,
  headerBytes: 16 * 1024,
  headersMs: 5_000,
  requestMs: 15_000,
  sendMs: 30_000,
  keepAliveMs: 65_000,
  checkEveryMs: 1_000,
  closeMs: 2_000,
};

/** The listener of the contract's admin calls: health, purge, warm, explain, listings, metrics, dashboard. */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  const { limits = adminLimits } = options;
  const answer = createRouter(options);
  const turns = new Turns(limits.pipelined);
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: limits.checkEveryMs,
    },
    (request, response) => void respond(request, response),
  );
  server.maxConnections = limits.connections;
  server.on('drop', () => options.onLimit?.('admin.maxConnections'));

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    // The parser goes on with what it has been given.
    if (socket.destroyed) return;
    const turn = turns.take(request, response);
    if (turn === undefined) {
      options.onLimit?.('admin.maxPipelined');
      socket.destroy();
      return;
    }
    await turn;
    // Closed meanwhile: nobody is left to be answered.
    if (socket.destroyed) return;
    // How long the answer before it might not be taken is no time of this call.
    socket.setTimeout(0);
    const asker = { request, response, sendMs: limits.sendMs };
    try {
      sendReply(asker, await answer(request));
    } catch (error) {
      // A client that went while its content was read is no fault of ours.
      if (response.destroyed) return;
      options.log.error({ error, method: request.method }, 'an admin call failed');
      sendReply(asker, problemReply(internal));
    }
  }

  const close = (): Promise<void> => closeServer(server, limits.closeMs);
  const accept = (connection: Duplex): void => void server.emit('connection', connection);
  return { accept, listen: () => listen(server, options.config), close, [Symbol.asyncDispose]: close };
}

function createRouter(options: AdminServerOptions): (request: IncomingMessage) => Promise<Reply> {
  const { services, config, onLimit } = options;
  const guard = createGuard(config);
  const body = { maxBodyBytes: config.maxBodyBytes, onTooLarge: () => onLimit?.('admin.maxBodyBytes') };
  const byPath = Map.groupBy(endpointsOf({ ...options, body }), (endpoint) => endpoint.path);
  return async (request) => {
    const malformed = malformedHead(request);
    if (malformed !== undefined) return problemReply(malformed);
    if (request.method === 'PURGE') return purgeUrl(request, { services, guard });
    toOriginForm(request);
    const { method, path, query } = targetOf(request);
    const endpoints = byPath.get(path) ?? [];
    const endpoint = endpoints.find((one) => one.method === method);
    // Who may not ask is not told either what there is.
    const refusal = endpoint?.access === 'anyone' ? undefined : guard(request);
    if (refusal !== undefined) return refusal;
    if (endpoint === undefined) return problemReply(unknownCall(endpoints));
    if (endpoint.needsStart && services.state() === 'starting') return problemReply(starting);
    return endpoint.handle(request, query);
  };
}

/** A target in absolute form names this listener too, and its authority stands in the place of Host (RFC 9112 §3.2.2). */
function toOriginForm(request: IncomingMessage): void {
  const [, authority, rest = ''] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(request.url ?? '') ?? [];
  if (authority === undefined) return;
  request.headers.host = authority;
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
}

/** HEAD is answered as GET is; `sendReply` leaves the body out. */
function targetOf({ method = '', url = '' }: IncomingMessage): { method: string; path: string; query: string } {
  const mark = url.indexOf('?');
  return {
    method: method === 'HEAD' ? 'GET' : method,
    path: mark < 0 ? url : url.slice(0, mark),
    query: mark < 0 ? '' : url.slice(mark + 1),
  };
}

/** `PURGE /any/path?query`: the habit of Varnish and Squid, the same as `url`. */
async function purgeUrl(
  request: IncomingMessage,
  { services, guard }: { readonly services: AdminServices; readonly guard: Guard },
): Promise<Reply> {
  const refusal = guard(request);
  if (refusal !== undefined) return refusal;
  if (services.state() === 'starting') return problemReply(starting);
  const selector = { by: 'url', url: request.url ?? '' } as const;
  return answerPurge(services, { selector, soft: false, dryRun: false, source: 'method' });
}

/** What node:http lets through although it should not: HTTP/0.9, and two Host lines of which it uses the first. */
function malformedHead({ httpVersionMajor, rawHeaders }: IncomingMessage): Problem | undefined {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  if (httpVersionMajor === 1 && hosts <= 1) return undefined;
  return {
    status: 400,
    code: 'request-invalid',
    title: 'Not a request',
    detail: 'The request must be HTTP/1.x with one Host.',
  };
}

function unknownCall(endpoints: readonly Endpoint[]): Problem {
  if (endpoints.length === 0) {
    return {
      status: 404,
      code: 'call-not-found',
      title: 'No such call',
      detail: 'The admin listener has no such path; see /openapi.json.',
    };
  }
  const allow = [...endpoints.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])), 'PURGE'];
  return {
    status: 405,
    code: 'method-not-allowed',
    title: 'Method not allowed',
    detail: `This path takes ${allow.join(', ')}.`,
    extra: { allow },
  };
}

const starting: Problem = {
  status: 503,
  code: 'starting',
  title: 'Not started yet',
  detail: 'The proxy is still starting; see /readyz.',
  retryAfter: 1,
};

const internal: Problem = {
  status: 500,
  code: 'internal',
  title: 'Failed inside the proxy',
  detail: 'The call failed inside the proxy; its log says why.',
};

function listen(
  server: Server,
  { host, port }: AdminConfig,
): Promise<{ readonly host: string; readonly port: number }> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve({ host, port: typeof address === 'object' && address !== null ? address.port : port });
    });
  });
}

async function closeServer(server: Server, closeMs: number): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), closeMs);
  await closed;
  clearTimeout(cut);
}
