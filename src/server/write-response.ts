import type { ServerResponse } from 'node:http';

import type { FieldLines } from '../core/fields.ts';
import type { Clock, ProxyResponse, ResponseBody } from '../cache/ports.ts';

/** How a response is to be sent. */
export interface SendOptions {
  readonly clock: Clock;
  /** A client that takes nothing for this long is cut off. Milliseconds. */
  readonly sendTimeoutMs: number;
  /** True while draining: the connection is not kept. */
  readonly close: boolean;
}

/** What a sending leaves behind for the record; `failed` is set where upstream broke off a stream. */
export interface Sent {
  bytes: number;
  failed: boolean;
}

/**
 * Sends a response. Never throws; a broken stream ends the connection without its terminator, so that the client sees
 * that the content is incomplete (RFC 9112 §8). The returned object is filled while sending.
 */
export function writeResponse(res: ServerResponse, response: ProxyResponse, options: SendOptions): Sent {
  const sent: Sent = { bytes: 0, failed: false };
  if (res.destroyed) {
    if (response.body.kind === 'stream') response.body.cancel();
    return sent;
  }
  res.writeHead(response.status, rawFields(response.fields, options.close));
  const { body } = response;
  switch (body.kind) {
    case 'none':
      res.end();
      break;
    case 'bytes':
      sent.bytes = body.bytes.length;
      res.end(body.bytes);
      guardSlowReader(res, options);
      break;
    case 'stream':
      void pump(res, body, options, sent);
      break;
  }
  return sent;
}

function rawFields(fields: FieldLines, close: boolean): string[] {
  const raw: string[] = [];
  for (const [name, value] of fields) raw.push(name, value);
  if (close) raw.push('connection', 'close');
  return raw;
}

/** Only where the kernel did not take everything at once is there anything to wait for. */
function guardSlowReader(res: ServerResponse, options: SendOptions): void {
  const { socket } = res;
  if (socket === null || socket.writableLength === 0) return;
  const giveUp = () => res.destroy();
  socket.setTimeout(options.sendTimeoutMs, giveUp);
  res.once('finish', () => socket.removeListener('timeout', giveUp));
}

async function pump(
  res: ServerResponse,
  body: Extract<ResponseBody, { kind: 'stream' }>,
  options: SendOptions,
  sent: Sent,
): Promise<void> {
  // The upstream call ends with the client, not with the next write that fails.
  const onClose = () => body.cancel();
  res.once('close', onClose);
  try {
    for await (const chunk of body.chunks) {
      if (res.destroyed) return;
      sent.bytes += chunk.length;
      if (!res.write(chunk) && !(await drained(res, options))) return;
    }
    res.removeListener('close', onClose);
    res.end();
    guardSlowReader(res, options);
  } catch {
    // The cause is counted where the body was read; what is left to do here is to not pretend a complete answer.
    if (!res.destroyed) sent.failed = true;
    res.destroy();
  } finally {
    if (res.destroyed) body.cancel();
  }
}

/** False when the client went, or took nothing for the send timeout. */
function drained(res: ServerResponse, options: SendOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (outcome: boolean) => {
      cancel();
      res.removeListener('drain', onDrain);
      res.removeListener('close', onClose);
      resolve(outcome);
    };
    const onDrain = () => settle(true);
    const onClose = () => settle(false);
    const cancel = options.clock.after(options.sendTimeoutMs, () => {
      res.destroy();
      settle(false);
    });
    res.once('drain', onDrain);
    res.once('close', onClose);
  });
}
