import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Problem } from '../core/problem.ts';
import { problemBody } from '../core/problem-response.ts';

/**
 * Answers what the HTTP parser or a timeout refused, on the raw connection, and ends it: after a framing error nothing
 * on it can be trusted (RFC 9112 §11.2). Returns the option whose limit was hit, if it was one.
 */
export function answerClientError(error: { readonly code?: string | undefined }, socket: Duplex): string | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  const { problem, limit } = describe(error.code);
  endWith(socket, problem);
  return limit;
}

/** One connection more than the limit: told so, then closed. 429, since real clients take the content of a 503 for data. */
export function refuseConnection(socket: Socket, limit: number): void {
  endWith(socket, {
    status: 429,
    code: 'too-many-connections',
    title: 'Too many connections',
    detail: `More than ${limit} connections are open.`,
    retryAfter: 1,
  });
}

function endWith(socket: Duplex, problem: Problem): void {
  const { fields, body } = problemBody(problem);
  const lines = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    ...fields.map(([name, value]) => `${name}: ${value}`),
    `content-length: ${body.length}`,
    'connection: close',
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  socket.end(body);
  // Whatever else the peer sends is not read as a request; the socket goes when it has our answer.
  socket.once('finish', () => socket.destroy());
}

function describe(code: string | undefined): { readonly problem: Problem; readonly limit?: string } {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return {
        limit: 'server.limits.maxHeaderBytes',
        problem: {
          status: 431,
          code: 'head-too-large',
          title: 'Request Header Fields Too Large',
          detail: 'The request head is larger than server.limits.maxHeaderBytes.',
        },
      };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return {
        limit: 'server.timeouts.headers',
        problem: {
          status: 408,
          code: 'request-timeout',
          title: 'Request Timeout',
          detail: 'The request did not arrive in time.',
        },
      };
    case 'CONNECT':
      return {
        problem: {
          status: 405,
          code: 'method-not-allowed',
          title: 'Method Not Allowed',
          detail: 'CONNECT is not relayed.',
          extra: { allow: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'] },
        },
      };
    case undefined:
    default:
      return {
        problem: {
          status: 400,
          code: 'request-malformed',
          title: 'Bad Request',
          detail: 'The request is not well-formed HTTP/1.1 (RFC 9112).',
        },
      };
  }
}
