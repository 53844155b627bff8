import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FieldLines } from '../core/fields.ts';
import { problemBody } from '../core/problem-response.ts';
import type { Problem } from '../core/problem.ts';

/** A complete answer of the admin listener. */
export interface Reply {
  readonly status: number;
  readonly fields: FieldLines;
  readonly body: Buffer;
}

/** `no-store` throughout: what is answered here is about now, and some of it is only for who holds the token. */
export function jsonReply(status: number, value: unknown): Reply {
  return {
    status,
    fields: [
      ['content-type', 'application/json'],
      ['cache-control', 'no-store'],
    ],
    body: Buffer.from(`${JSON.stringify(value)}\n`, 'utf8'),
  };
}

export function textReply(contentType: string, text: string, more: FieldLines = []): Reply {
  return {
    status: 200,
    fields: [['content-type', contentType], ['cache-control', 'no-store'], ...more],
    body: Buffer.from(text, 'utf8'),
  };
}

export function problemReply(problem: Problem, more: FieldLines = []): Reply {
  const { status, fields, body } = problemBody(problem);
  return { status, fields: [...fields, ...more], body };
}

// Nothing here is for other sites to embed, frame or guess at; the dashboard's own policy comes on top.
const protective: FieldLines = [
  // By this the command line knows that it talks to the right listener.
  ['server', 'forecache'],
  ['x-content-type-options', 'nosniff'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['referrer-policy', 'no-referrer'],
];

/** Unread request content up to this much is read and dropped, so that its sender sees the answer and not a reset. */
export const maxDroppedBytes = 1024 * 1024;

/** Where an answer goes. */
export interface Asker {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** A client that takes nothing of its answer for this long is cut off. */
  readonly sendMs: number;
}

/** Sends it: without the body to HEAD, closing the connection where much or endless request content was left unread. */
export function sendReply({ request, response, sendMs }: Asker, reply: Reply): void {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = reply.status;
  for (const [name, value] of [...protective, ...reply.fields]) response.setHeader(name, value);
  response.setHeader('content-length', reply.body.byteLength);
  if (!request.complete && tooMuchToDrop(request)) response.setHeader('connection', 'close');
  cutSlowReader(response, sendMs);
  response.end(request.method === 'HEAD' ? undefined : reply.body);
}

/** One listener for each answer, taken off with it; after a kept answer `node:http` sets the idle timeout itself. */
function cutSlowReader(response: ServerResponse, sendMs: number): void {
  const { socket } = response;
  if (socket === null) return;
  const giveUp = (): void => void socket.destroy();
  socket.setTimeout(sendMs, giveUp);
  response.once('close', () => socket.off('timeout', giveUp));
}

function tooMuchToDrop({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > maxDroppedBytes;
}
