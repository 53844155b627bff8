import { isIP } from 'node:net';
import type { RedisNode } from '../core/config.ts';
import { type Result, ok, refused } from '../core/problem.ts';
import { quoted } from './units.ts';

/** What a Redis URL says. */
export interface RedisAddress extends RedisNode {
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number | undefined;
}

const form = 'redis://host:6379, redis://user:password@host:6379/0, or rediss:// for TLS';

const escapes = 'in user and password the characters :/?#[]@% are written as %XX';

/** Databases that an option or a URL may name; what a server has it says itself. */
export const maxDatabase = 1_000_000;

/** Reads `redis://` and `rediss://`. The sentence shows nothing of the URL: wherever a slip is, part of the password may follow. */
export function parseRedisUrl(text: string): Result<RedisAddress, string> {
  const url = URL.parse(text);
  if (!url || (url.protocol !== 'redis:' && url.protocol !== 'rediss:')) {
    return refused(`is no Redis URL: ${form}; ${escapes}`);
  }
  const problem = urlProblem(url);
  if (problem !== undefined) return refused(problem);
  const database = url.pathname.slice(1);
  return ok({
    host: hostOf(url),
    port: url.port === '' ? 6379 : Number(url.port),
    tls: url.protocol === 'rediss:',
    username: decoded(url.username) || undefined,
    password: decoded(url.password) || undefined,
    database: database === '' ? undefined : Number(database),
  });
}

function urlProblem(url: URL): string | undefined {
  const problem = hostProblem(hostOf(url));
  if (problem !== undefined) return problem;
  if (url.port === '0') return 'has port 0; a port is 1 to 65535';
  if (!/^\/?(\d{0,7})$/.test(url.pathname) || Number(url.pathname.slice(1)) > maxDatabase) {
    const what = 'has a path that is no number of a database';
    return url.username + url.password === '' ? what : `${what}; ${escapes}`;
  }
  if (url.search !== '' || url.hash !== '') {
    return 'has a ? or #; options stand beside url, and in a password they are written %3F and %23';
  }
  const isDecodable = decoded(url.username) !== undefined && decoded(url.password) !== undefined;
  return isDecodable ? undefined : 'has a % that is no %XX in its user or password';
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/** Reads `host:port`, `[::1]:port`. */
export function parseRedisNode(text: string): Result<RedisNode, string> {
  const [, written = '', digits = ''] = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]*):(\d{1,5})$/.exec(text) ?? [];
  const host = written.replace(/^\[(.*)\]$/, '$1');
  const port = Number(digits);
  if (hostProblem(host) !== undefined || (host !== written && isIP(host) !== 6)) {
    return refused(`expected host:port such as redis-0:6379 or [::1]:6379, given ${givenHost(text)}`);
  }
  return port >= 1 && port <= 65_535 ? ok({ host, port }) : refused(`a port is 1 to 65535, given ${digits}`);
}

/** What was given in the place of a host, which may be a URL with a password. */
export function givenHost(text: string): string {
  return text.includes('@') ? 'one with a user or password; these have options of their own' : quoted(text);
}

/** What keeps text from being a host's name or address. */
export function hostProblem(host: string): string | undefined {
  if (host === '') return 'has no host';
  const isName = /^[0-9A-Za-z]([0-9A-Za-z._-]{0,252})$/.test(host) && (!/^[\d.]+$/.test(host) || isIP(host) === 4);
  return isName || isIP(host) === 6 ? undefined : 'has a host that is neither a name nor an address';
}

/** `undefined` where an escape is broken. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
