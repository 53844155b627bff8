import type { Problem } from './problem.ts';

/** Methods that RFC 9110 §9.2.1 (and RFC 10008 for QUERY) define as safe. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY']);

/** What is told of methods that are relayed. */
export const RELAYED_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'] as const;

/** True for a method that may change something upstream; unknown methods count as unsafe (RFC 9111 §4.4). */
export function isUnsafe(method: string): boolean {
  return !SAFE.has(method);
}

/**
 * The answer to a method that is relayed nowhere, whatever the route; `undefined` for others. TRACE would echo the
 * credentials that the proxy puts on, and CONNECT makes a tunnel, which is no business of a cache.
 */
export function refusedMethod(method: string): Problem | undefined {
  if (method !== 'TRACE' && method !== 'CONNECT') return undefined;
  return {
    status: 405,
    code: 'method-not-allowed',
    title: 'Method Not Allowed',
    detail: `${method} is not relayed.`,
    extra: { allow: [...RELAYED_METHODS] },
  };
}

/** The answer to what the HTTP parser cannot read, a method that it does not know among it. */
export function malformedRequest(): Problem {
  return {
    status: 400,
    code: 'request-malformed',
    title: 'Bad Request',
    detail: 'The request is not well-formed HTTP/1.1 (RFC 9112).',
  };
}
