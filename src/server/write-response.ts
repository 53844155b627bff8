import type { ServerResponse } from 'node:http';

import type { ProxyResponse, ResponseBody } from '../cache/ports.ts';
import { whenStillUnsent } from './second-look.ts';

/** How long a client may take to take something. */
export interface SendLimit {
  /** A client that takes nothing for this long is cut off. Milliseconds. */
  readonly sendTimeoutMs: number;
  /** Hears of it. */
  readonly onSlow: () => void;
}

/** How a response is to be sent. */
export interface SendOptions extends SendLimit {
  /** True while draining: the connection is not kept. */
  readonly close: boolean;
}

/** What a sending leaves behind for the record; `failed` is set where upstream broke off a stream. */
export interface Sent {
  bytes: number;
  failed: boolean;
}

/**
 * Sends a response. Never throws; a broken stream ends the connection so that the client sees that the content is
 * incomplete (RFC 9112 §8). The returned object is filled while sending.
 */
export function writeResponse(res: ServerResponse, response: ProxyResponse, options: SendOptions): Sent {
  const sent: Sent = { bytes: 0, failed: false };
  if (res.destroyed) {
    if (response.body.kind === 'stream') response.body.cancel();
    return sent;
  }
  res.writeHead(response.status, rawFields(response, options.close));
  const { body } = response;
  switch (body.kind) {
    case 'none':
      res.end();
      limitRest(res, options);
      break;
    case 'bytes':
      sent.bytes = body.bytes.length;
      endWith(res, response, body.bytes);
      limitRest(res, options);
      break;
    case 'stream':
      void pump(res, body, options, sent);
      break;
  }
  return sent;
}

/**
 * Up to so many bytes the content of an answer is sent as text of one character for each byte: `node:http` makes one text of it and
 * the head then, and one piece to write of two, for a tenth less of all that it does. The text of an answer that is sent again
 * and again is kept with it; larger content is not kept twice.
 */
const MAX_TEXT_BYTES = 2048;

function endWith(res: ServerResponse, response: ProxyResponse, bytes: Buffer): void {
  if (bytes.length === 0 || bytes.length > MAX_TEXT_BYTES) res.end(bytes);
  else if (response.raw === undefined) res.end(bytes.toString('latin1'), 'latin1');
  else res.end((response.text ??= bytes.toString('latin1')), 'latin1');
}

function rawFields({ fields, raw: ready }: ProxyResponse, close: boolean): string[] {
  if (ready !== undefined && !close) return ready;
  const raw: string[] = [];
  for (const [name, value] of fields) raw.push(name, value);
  if (close) raw.push('connection', 'close');
  return raw;
}

/**
 * Only where the kernel did not take everything at once is there anything to wait for. Behind responses that are still owed that is not
 * known yet; a head alone may be too much too, where many stand behind one another.
 */
function limitRest(res: ServerResponse, limit: SendLimit): void {
  if (res.socket === null || res.socket.writableLength > 0) limitSending(res, limit);
}

/**
 * Cuts off a client that takes nothing for the limit while there is something for it to take; upstream's pauses do not
 * count. `node:net` looks at whether bytes have left, so that one large write is not held against a slow reader.
 */
export function limitSending(res: ServerResponse, { sendTimeoutMs, onSlow }: SendLimit): void {
  res.setTimeout(sendTimeoutMs, () => {
    const { socket } = res;
    if (socket === null || socket.writableLength === 0) return;
    whenStillUnsent(socket, (hasTaken) => {
      // Ended since, or another's turn.
      if (res.socket !== socket || res.destroyed) return;
      if (hasTaken) {
        socket.setTimeout(sendTimeoutMs);
        return;
      }
      onSlow();
      cutOff(res);
    });
  });
  // First of all listeners: the next one lets go of the socket and sets the time that it may be idle.
  res.prependOnceListener('finish', () => res.socket?.setTimeout(0));
}

/**
 * Ends the connection of a response that will never be whole. To an HTTP/1.0 client, which knows no chunks, the end of
 * the connection is the end of the content: only a reset says that it is not (RFC 9112 §8).
 */
export function cutOff(res: ServerResponse): void {
  if (res.req.httpVersion === '1.0') res.socket?.resetAndDestroy();
  res.destroy();
}

const NO_BYTES = Buffer.alloc(0);

async function pump(
  res: ServerResponse,
  body: Extract<ResponseBody, { kind: 'stream' }>,
  options: SendOptions,
  sent: Sent,
): Promise<void> {
  // The upstream call ends with the client, not with the next write that fails.
  const onClose = () => body.cancel();
  res.once('close', onClose);
  limitSending(res, options);
  try {
    // A stream may take its time to its first byte; its head must not. What comes in this turn of the loop goes with it.
    res.write(NO_BYTES);
    for await (const chunk of body.chunks) {
      if (res.destroyed) return;
      sent.bytes += chunk.length;
      if (!res.write(chunk) && !(await drained(res))) return;
    }
    res.removeListener('close', onClose);
    res.end();
  } catch {
    // The cause is counted where the body was read; what is left to do here is to not pretend a complete answer.
    if (!res.destroyed) sent.failed = true;
    cutOff(res);
  } finally {
    if (res.destroyed) body.cancel();
  }
}

/** False when the client went. */
function drained(res: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (outcome: boolean) => {
      res.removeListener('drain', onDrain);
      res.removeListener('close', onClose);
      resolve(outcome);
    };
    const onDrain = () => settle(true);
    const onClose = () => settle(false);
    res.once('drain', onDrain);
    res.once('close', onClose);
  });
}
