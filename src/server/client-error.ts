import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { formatCacheStatus } from '../core/cache-status.ts';
import { malformedRequest, refusedMethod } from '../core/methods.ts';
import type { Problem } from '../core/problem.ts';
import { problemBody } from '../core/problem-response.ts';
import type { Lingering } from './lingering.ts';
import { requestTimeout } from './request-timeout.ts';

/** What was answered where no request could be read. */
export interface Unread {
  readonly problem: Problem;
  /** Content bytes of the answer. */
  readonly bytes: number;
  /** The option whose limit was hit; `undefined` where none was. */
  readonly limit: string | undefined;
}

/**
 * Answers what the HTTP parser or a timeout refused, on the raw connection, and ends it: after a framing error nothing
 * on it can be trusted (RFC 9112 §11.2). `undefined` where the connection takes no answer.
 */
export function answerClientError(
  error: { readonly code?: string | undefined },
  socket: Duplex,
  lingering: Pick<Lingering, 'end'>,
): Unread | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  const { problem, limit } = describe(error.code);
  return { problem, limit, bytes: endWith(socket, problem, lingering) };
}

/** One connection more than the limit: told so, then closed. 429, since real clients take the content of a 503 for data. */
export function refuseConnection(socket: Socket, limit: number, lingering: Pick<Lingering, 'end'>): Unread {
  const problem: Problem = {
    status: 429,
    code: 'too-many-connections',
    title: 'Too many connections',
    detail: `More than ${limit} connections are open.`,
    retryAfter: 1,
  };
  return { problem, limit: 'server.limits.maxConnections', bytes: endWith(socket, problem, lingering) };
}

/** Gives the number of content bytes. */
function endWith(socket: Duplex, problem: Problem, lingering: Pick<Lingering, 'end'>): number {
  const { fields, body } = problemBody(problem);
  const lines = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    ...fields.map(([name, value]) => `${name}: ${value}`),
    `cache-status: ${formatCacheStatus({ hit: false, detail: problem.code })}`,
    `content-length: ${body.length}`,
    'connection: close',
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  socket.write(body);
  // Whatever else the peer sends is not read as a request.
  lingering.end(socket);
  return body.length;
}

function describe(code: string | undefined): Omit<Unread, 'bytes'> {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return {
        limit: 'server.limits.maxHeaderBytes',
        problem: {
          status: 431,
          code: 'head-too-large',
          title: 'Request header fields too large',
          detail: 'The request head is larger than server.limits.maxHeaderBytes.',
        },
      };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return {
        limit: 'server.timeouts.headers',
        problem: requestTimeout,
      };
    case undefined:
    default:
      // CONNECT has an event of its own in `node:http`, and comes here by its name.
      return { limit: undefined, problem: refusedMethod(code ?? '') ?? malformedRequest() };
  }
}
