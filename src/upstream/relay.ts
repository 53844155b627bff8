import { Agent as HttpAgent, ServerResponse, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { createProxyServer, type ProxyServer, type ServerOptions } from 'http-proxy-3';

import type { Clock } from '../cache/ports.ts';
import type { RelayPlan, RelayResult } from '../cache/relay-types.ts';
import { contentTooLarge } from '../core/content-key.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { fieldValue, type FieldLine, type FieldLines } from '../core/fields.ts';
import { isUnsafe } from '../core/methods.ts';
import { targetWithCredentials } from './credentials.ts';
import { describe, nameFailure, type OnUpstreamLimit } from './failure.ts';
import { createRedactor, type Redactor } from './redact.ts';
import { NodeAnswer } from './relay-answer.ts';
import { bareRequest, RelayCall } from './relay-call.ts';
import { RelayExchange } from './relay-exchange.ts';
import { RelayLines } from './relay-lines.ts';
import { upgradeUnsupported } from './relay-problem.ts';
import { BareRelayRequest, type RelayAttempt, RelayRequest } from './relay-request.ts';
import { switchProtocols } from './relay-switch.ts';
import { RelayTimers } from './relay-timer.ts';
import { clientFields, relayedFields } from './request-fields.ts';
import { trusted } from './trusted.ts';

export interface RelayOptions {
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  readonly clock: Clock;
  readonly onLimit?: OnUpstreamLimit;
}

interface Attempt {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly plan: RelayPlan;
  /** As of {@link RelayPlan}, of the response of a refusal. */
  readonly onUnsent: (res: ServerResponse) => void;
}

/** Satisfies the server's `Relay` port. Disposing closes idle connections; those in use end with their clients. */
export interface UpstreamRelay extends Disposable {
  web(req: IncomingMessage, res: ServerResponse, plan: RelayPlan): Promise<RelayResult>;
  upgrade(attempt: Attempt): Promise<RelayResult>;
}

/** The way to one upstream. */
interface RelayLink {
  readonly config: UpstreamConfig;
  readonly target: NonNullable<ServerOptions['target']>;
  readonly host: string;
  readonly agent: HttpAgent;
  /** For a GET without content. */
  readonly lines: RelayLines;
  /** Relays on connections that are kept. */
  readonly kept: ProxyServer;
  /** Relays on a new connection each. */
  readonly fresh: ProxyServer;
  /** All trusted authorities as one PEM text. */
  readonly ca: string | undefined;
  readonly redactor: Redactor;
}

/**
 * Relays with http-proxy-3, which makes the connection, streams content up and carries what follows a switch of
 * protocols. Everything that a client gets to see, and every timeout, is ours: left alone it hangs on truncated
 * answers and passes on `Connection`-nominated fields. There is a connection for each request that runs, so
 * `maxConnections` does not count here; the server's own limits do. Throws at once where a `caFile` cannot be read.
 */
export function createRelay(options: RelayOptions): UpstreamRelay {
  const { clock, onLimit = () => {} } = options;
  const ground: RelayGround = { clock, timers: new RelayTimers(clock), onLimit };
  const links = new Map([...options.upstreams].map(([name, config]) => [name, openLink(config)]));
  const linkOf = (plan: RelayPlan): RelayLink => {
    const link = links.get(plan.upstream);
    if (link === undefined) throw new Error(`no upstream is named ${plan.upstream}`);
    return link;
  };
  return {
    web: (req, res, plan) => relayWeb(linkOf(plan), { req, res, plan }, ground),
    upgrade: (attempt) => relayUpgrade(linkOf(attempt.plan), attempt, ground),
    [Symbol.dispose]: () => {
      for (const { agent, lines } of links.values()) {
        agent.destroy();
        lines.destroy();
      }
    },
  };
}

interface RelayGround {
  readonly clock: Clock;
  readonly timers: RelayTimers;
  readonly onLimit: OnUpstreamLimit;
}

interface WebRelay {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly plan: RelayPlan;
}

function relayWeb(link: RelayLink, { req, res, plan }: WebRelay, ground: RelayGround): Promise<RelayResult> {
  const { config, redactor } = link;
  const fields = clientFields(req);
  const framing = plan.content === undefined ? framingFields(fields) : lengthOf(plan.content);
  const isBare = framing.length === 0;
  const exchange = new RelayExchange({ req, res, plan, ...ground, config, redactor, isBare });
  if (!exchange.open) return exchange.result;
  if (Number(fieldValue(framing, 'content-length') ?? '0') > plan.maxBodyBytes) {
    exchange.refuse(contentTooLarge(plan.maxBodyBytes));
    return exchange.result;
  }
  // HEAD is not among them: undici gives up its connection behind each.
  if (isBare && req.method === 'GET') {
    new RelayCall(exchange, link.lines, link.lines.take(), bareRequest(link, plan, fields)).start();
    return exchange.result;
  }
  // A kept connection may be gone when we write to it. What can safely be sent again is; nothing else is risked.
  const mayRepeat = !isUnsafe(req.method ?? '') && isBare;
  const send = (isKept: boolean): void => {
    let upstream: ClientRequest | undefined;
    const broke = (error: unknown): void => {
      if (isKept && upstream?.reusedSocket === true && exchange.open && isReset(error)) {
        send(false);
        return;
      }
      exchange.broke(error);
      // The rest of the content is read and dropped, so that the client gets to read its answer.
      if (request instanceof RelayRequest) req.unpipe(request);
      req.resume();
    };
    const attempt: RelayAttempt = {
      broke,
      made: (proxyReq) => {
        upstream = proxyReq;
        // http-proxy-3 drops the `?` of an empty query.
        if (!proxyReq.headersSent) proxyReq.path = request.url;
        // A switch that nobody asked for: node would drop the connection without a word.
        proxyReq.on('upgrade', (_answer, switched) => {
          switched.destroy();
          exchange.fail(describe('malformed'));
        });
        proxyReq.on('information', ({ statusCode, rawHeaders }) => exchange.interim(statusCode, rawHeaders));
        exchange.connected(proxyReq);
      },
      answered: (answer) => exchange.respond(new NodeAnswer(answer)),
    };
    const request = relayRequest(link, { req, plan, fields, extra: framing, onChunk: () => exchange.touch(), attempt });
    exchange.connecting();
    const proxy = isKept ? link.kept : link.fresh;
    // Typed for node's whole class; it uses what these requests have. It writes into `ssl`, so each call has one.
    Reflect.apply(proxy.web, proxy, [request, res, { ssl: { maxHeaderSize: config.maxHeaderBytes } }, broke]);
    if (!(request instanceof RelayRequest)) return;
    if (plan.content === undefined) req.pipe(request);
    else request.end(plan.content);
  };
  send(mayRepeat);
  return exchange.result;
}

function relayUpgrade(link: RelayLink, attempt: Attempt, ground: RelayGround): Promise<RelayResult> {
  const { config, redactor } = link;
  const { req, socket, head } = attempt;
  const { clock } = ground;
  const res = new ServerResponse(req);
  res.assignSocket(req.socket);
  res.shouldKeepAlive = false;
  res.once('finish', () => req.socket.destroySoon());
  // Nobody else tells it any more.
  req.socket.on('timeout', () => res.emit('timeout'));
  const plan: RelayPlan = { ...attempt.plan, onUnsent: () => attempt.onUnsent(res) };
  const exchange = new RelayExchange({ req, res, plan, ...ground, config, redactor });
  const fields = clientFields(req);
  if (!exchange.open) return exchange.result;
  if (!isWebSocket(req) || framingFields(fields).length > 0) {
    exchange.refuse(upgradeUnsupported);
    return exchange.result;
  }
  const request = relayRequest(link, { req, plan, fields, extra: switching, onChunk: () => {}, attempt: undefined });
  // It writes into `ssl`.
  const proxy = createProxyServer({ ...proxyOptions(link, undefined), ssl: { maxHeaderSize: config.maxHeaderBytes } });
  const broke = (error: unknown): void => exchange.broke(error);
  // Of the client's connection, which closes then; upstream's errors go to `broke`.
  proxy.on('error', () => {});
  const made = Promise.withResolvers<RelayResult>();
  proxy.on('proxyReqWs', (proxyReq) => {
    proxyReq.path = request.url;
    proxyReq.once('socket', () => exchange.connected(proxyReq));
    // http-proxy-3 adds its listeners after this event; ours go in their place.
    queueMicrotask(() => {
      const onEnd = made.resolve;
      switchProtocols({ exchange, upstream: proxyReq, res, plan, clock, config, redactor, onEnd });
    });
  });
  exchange.connecting();
  void exchange.result.then(made.resolve);
  Reflect.apply(proxy.ws, proxy, [request, socket, head, {}, broke]);
  return made.promise;
}

const switching: FieldLines = [
  ['connection', 'Upgrade'],
  ['upgrade', 'websocket'],
];

/** RFC 6455 §4.1. A request with content could hide a second one in what follows the switch. */
function isWebSocket(req: IncomingMessage): boolean {
  return req.method === 'GET' && req.headers.upgrade?.trim().toLowerCase() === 'websocket';
}

/** The framing of the request content, as received: node:http has refused what is ambiguous. */
function framingFields(fields: FieldLines): readonly FieldLine[] {
  if (fieldValue(fields, 'transfer-encoding') !== undefined) return [['transfer-encoding', 'chunked']];
  const length = fieldValue(fields, 'content-length');
  return length === undefined ? [] : [['content-length', length]];
}

/** The framing of content that was collected already. */
function lengthOf({ length }: Uint8Array): readonly FieldLine[] {
  return length === 0 ? [] : [['content-length', String(length)]];
}

interface RequestParts {
  readonly req: IncomingMessage;
  readonly plan: RelayPlan;
  readonly fields: FieldLines;
  /** Hop-by-hop lines of the new hop. */
  readonly extra: FieldLines;
  readonly onChunk: () => void;
  /** `undefined`: of an upgrade, which has a proxy of its own. */
  readonly attempt: RelayAttempt | undefined;
}

function relayRequest(link: RelayLink, parts: RequestParts): RelayRequest | BareRelayRequest {
  const { req, plan, onChunk, extra, attempt } = parts;
  const fields: FieldLines = [
    ['host', link.host],
    ...relayedFields(parts.fields, link.config, link.redactor.active, plan.mark),
    ...parts.extra,
  ];
  const url = targetWithCredentials(plan.target, link.config.credentials);
  if (extra.length === 0) return new BareRelayRequest({ req, url, fields, attempt });
  return new RelayRequest({ req, url, fields, maxBodyBytes: plan.maxBodyBytes, onChunk, attempt });
}

function openLink(config: UpstreamConfig): RelayLink {
  const origin = new URL(config.origin);
  const secure = origin.protocol === 'https:';
  // Idle connections are dropped well before servers usually do it, so that few writes meet a closing one.
  const agentOptions = { keepAlive: true, maxFreeSockets: config.maxConnections, timeout: 4000 };
  // No path and no URL object: http-proxy-3 would run the client's path through `new URL` and change it.
  const target = {
    protocol: origin.protocol,
    hostname: origin.hostname,
    host: origin.host,
    port: Number(origin.port === '' ? (secure ? 443 : 80) : origin.port),
  };
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  const ca = config.caFile === undefined ? undefined : trusted(config.caFile).join('\n');
  return {
    config,
    target,
    host: origin.host,
    agent,
    lines: new RelayLines(config),
    kept: webProxy(proxyOptions({ target, ca }, agent)),
    fresh: webProxy(proxyOptions({ target, ca }, undefined)),
    ca,
    redactor: createRedactor(config.credentials),
  };
}

/** One for all requests: what it tells of one goes to that one's attempt. */
function webProxy(options: ServerOptions): ProxyServer {
  const proxy = createProxyServer(options);
  proxy.on('error', (error, request) => attemptOf(request)?.broke(error));
  proxy.on('econnreset', (error, request) => attemptOf(request)?.broke(error));
  proxy.on('proxyReq', (upstream, request) => attemptOf(request)?.made(upstream));
  proxy.on('proxyRes', (answer, request) => attemptOf(request)?.answered(answer));
  return proxy;
}

function attemptOf(request: unknown): RelayAttempt | undefined {
  return request instanceof BareRelayRequest || request instanceof RelayRequest ? request.attempt : undefined;
}

function proxyOptions(link: Pick<RelayLink, 'target' | 'ca'>, agent: HttpAgent | undefined): ServerOptions {
  return {
    target: link.target,
    // The path as given, byte for byte.
    toProxy: true,
    selfHandleResponse: true,
    secure: true,
    ...(agent === undefined ? {} : { agent }),
    ...(link.ca === undefined ? {} : { ca: link.ca }),
  };
}

function isReset(error: unknown): boolean {
  return nameFailure(error, 'waiting').failure === 'reset';
}
