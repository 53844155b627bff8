import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { AdminConfig } from '../core/config.ts';
import type { Problem } from '../core/problem.ts';
import { problemReply, type Reply } from './reply.ts';

/** Says why a request may not pass; `undefined` lets it. */
export type Guard = (request: IncomingMessage) => Reply | undefined;

/**
 * Who may ask. With a token: whoever has it. Without one the listener is on loopback, where every web page that a
 * browser of this machine shows could reach it: so no names that an attacker's DNS could point here, and no writes
 * that another site's page sends.
 */
export function createGuard(config: Pick<AdminConfig, 'token' | 'host'>): Guard {
  const { token } = config;
  if (token !== undefined) return bearerGuard(token);
  return (request) => foreignHost(request, config.host) ?? foreignSite(request);
}

function bearerGuard(token: string): Guard {
  // Read where there is a token: without one nothing at a start needs it, and it takes 6 MiB.
  const { createHash, timingSafeEqual } = process.getBuiltinModule('node:crypto');
  const digest = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();
  const expected = digest(token);
  return ({ headers }) => {
    const { authorization } = headers;
    if (authorization === undefined) return unauthorised('This call needs a bearer token.', '');
    const [, given] = /^bearer +([^ ]+) *$/i.exec(authorization) ?? [];
    // Digests are of one length, so the comparison takes the same time whatever was sent.
    if (given !== undefined && timingSafeEqual(digest(given), expected)) return undefined;
    return unauthorised('The bearer token is not the one of this listener.', ', error="invalid_token"');
  };
}

function unauthorised(detail: string, error: string): Reply {
  const problem: Problem = { status: 401, code: 'unauthorised', title: 'Token needed', detail };
  return problemReply(problem, [['www-authenticate', `Bearer realm="forecache"${error}`]]);
}

/** Against DNS rebinding: a page's own host name, pointed at loopback, is not one of ours. */
function foreignHost(request: IncomingMessage, listenHost: string): Reply | undefined {
  const host = hostOf(request.headers.host ?? '');
  if (host !== undefined && (isIP(host) !== 0 || host === 'localhost' || host === listenHost.toLowerCase())) {
    return undefined;
  }
  return forbidden('host-not-allowed', 'Without a token, Host must be an IP address, localhost or the listen address.');
}

/** Lower-cased, without the port and the brackets of IPv6; `undefined` where it is none. */
function hostOf(authority: string): string | undefined {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(authority) ?? [];
  return (bracketed ?? plain)?.toLowerCase();
}

/** Against cross-site writes: browsers say where a request comes from, programs say nothing. */
function foreignSite({ method, headers }: IncomingMessage): Reply | undefined {
  if (method === 'GET' || method === 'HEAD') return undefined;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return crossSite();
  if (headers.origin === undefined) return undefined;
  const origin = URL.parse(headers.origin);
  return origin?.host === headers.host?.toLowerCase() ? undefined : crossSite();
}

function crossSite(): Reply {
  return forbidden('cross-site', 'Another site may not send this.');
}

function forbidden(code: string, detail: string): Reply {
  return problemReply({ status: 403, code, title: 'Not allowed', detail });
}
