import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Clock } from '../cache/ports.ts';
import type { RelayPlan, RelayResult } from '../cache/relay-types.ts';
import type { UpstreamConfig } from '../core/config.ts';
import type { FieldLines } from '../core/fields.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import { VIA } from '../core/via.ts';
import { describe, nameFailure, type NamedFailure } from './failure.ts';
import type { Redactor } from './redact.ts';
import { NodeAnswer } from './relay-answer.ts';
import type { RelayExchange } from './relay-exchange.ts';
import { headersOf } from './relay-request.ts';
import { fieldLinesOf } from './response-head.ts';
import { hasWriteFault, whenWriteFault } from './write-fault.ts';

export interface SwitchOptions {
  readonly exchange: RelayExchange;
  readonly upstream: ClientRequest;
  /** On the client's connection, for answers other than 101. */
  readonly res: ServerResponse;
  readonly plan: Pick<RelayPlan, 'cacheStatus' | 'onHead'>;
  readonly clock: Clock;
  readonly config: UpstreamConfig;
  readonly redactor: Redactor;
  /** Called when both connections of a switch are closed; other answers end with the exchange. */
  readonly onEnd: (outcome: RelayResult) => void;
}

/**
 * Takes over what http-proxy-3 does with upstream's answer to an upgrade: an answer that is no switch goes the way of
 * all answers, and a 101 is cleaned before http-proxy-3 writes it and joins the two connections.
 */
export function switchProtocols(options: SwitchOptions): void {
  const { exchange, upstream } = options;
  const join = upstream.listeners('upgrade');
  upstream.removeAllListeners('upgrade');
  upstream.removeAllListeners('response');
  upstream.on('response', (answer: IncomingMessage) => {
    readOn(options.res);
    // http-proxy-3 ends the client's connection there, also where all of the answer has come and is still on its way to the client.
    upstream.removeAllListeners('error');
    upstream.on('error', (error) => exchange.broke(error));
    exchange.respond(new NodeAnswer(answer));
  });
  upstream.on('upgrade', (answer: IncomingMessage, upstreamSocket: Duplex, head: Buffer) => {
    const fields = switchedFields(answer, options);
    const client = options.res.socket;
    if (fields === undefined || client === null || !exchange.open) {
      exchange.fail(describe('malformed'));
      upstreamSocket.destroy();
      return;
    }
    exchange.end();
    const { requestTimeMs } = exchange;
    options.plan.onHead(
      { status: 101, fields, requestTimeMs, responseTimeMs: options.clock.nowMs() },
      exchange.attempts,
    );
    options.res.detachSocket(client);
    answer.headers = headersOf(fields);
    for (const listener of join) Reflect.apply(listener, upstream, [answer, upstreamSocket, head]);
    void joined(client, upstreamSocket, options).then(options.onEnd);
  });
}

/**
 * `node:http` has let go of the client's connection: nobody tells the response that there is room again, and nobody reads what
 * the client sends, its end among it. Not before it is clear that there is no switch, behind which those bytes are upstream's.
 */
function readOn(res: ServerResponse): void {
  res.socket?.on('drain', () => res.emit('drain'));
  res.socket?.resume();
}

/** `undefined`: a switch that nobody asked for. */
function switchedFields(answer: IncomingMessage, { plan, redactor }: SwitchOptions): FieldLines | undefined {
  const received = fieldLinesOf(answer.rawHeaders);
  if (received === undefined || answer.headers.upgrade?.trim().toLowerCase() !== 'websocket') return undefined;
  return [
    ['connection', 'Upgrade'],
    ['upgrade', 'websocket'],
    ...redactor.fields(endToEnd(received)),
    VIA,
    ['cache-status', plan.cacheStatus],
  ];
}

/** Both ends of a switched connection live and die together; quiet ones may stay as long as they like. */
async function joined(
  client: Socket,
  upstream: Duplex,
  { clock, config, exchange }: SwitchOptions,
): Promise<RelayResult> {
  const bytesBefore = client.bytesWritten;
  let failure: NamedFailure | undefined;
  upstream.on('error', (error) => {
    failure ??= nameFailure(error, 'waiting');
  });
  // One side has said goodbye and the other does not answer: it gets as long as a stalled body.
  const stop: (() => void)[] = [];
  const hurry = (): void => {
    stop.push(
      clock.after(config.bodyTimeoutMs, () => {
        client.destroy();
        upstream.destroy();
      }),
    );
  };
  client.once('end', hurry);
  upstream.once('end', hurry);
  const upstreamClosed = closing(upstream);
  const clientClosed = closing(client);
  void upstreamClosed.then(() => client.destroySoon());
  // By an error nobody has said goodbye, and its client may take nothing of what is left for it.
  void upstreamClosed.then(hurry);
  whenWriteFault(upstream, hurry);
  void clientClosed.then(() => leave(upstream));
  void clientClosed.then(hurry);
  await Promise.all([upstreamClosed, clientClosed]);
  for (const one of stop) one();
  // It was ended for its client's sake before that error was told.
  if (hasWriteFault(upstream)) failure ??= describe('reset');
  return {
    status: 101,
    bytesSent: client.bytesWritten - bytesBefore,
    problem: undefined,
    failure: failure?.failure,
    reason: failure?.detail,
    aborted: false,
    attempts: exchange.attempts,
  };
}

/**
 * What the client said last is still sent. What upstream says now is for nobody, but its end stands behind that, and an error of writing
 * waits for it (`write-fault.ts`).
 */
function leave(upstream: Duplex): void {
  upstream.resume();
  if (upstream.writableFinished) upstream.destroy();
  else upstream.end(() => upstream.destroy());
}

function closing(stream: Duplex): Promise<void> {
  if (stream.closed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('close', () => resolve());
  });
}
