import { isIP } from 'node:net';
import type { ListenAddress } from '../core/config.ts';
import { type Result, ok, refused } from '../core/problem.ts';
import { readName } from '../core/read-name.ts';
import { quoted } from './units.ts';

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Names enter keys, tags, metric labels and log lines, so they are plain. */
export function nameProblem(value: string): string | undefined {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value)) return undefined;
  return `a name is 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit; given ${quoted(value)}`;
}

/** As {@link nameProblem}, of routes and upstreams: by `none` metrics count requests without the one, and calls without the other. */
export function countedNameProblem(value: string, what: 'route' | 'upstream'): string | undefined {
  if (value !== 'none') return nameProblem(value);
  return `the name none is reserved: metrics count by it what has no ${what}`;
}

/** Fields that frame a message or belong to one hop (RFC 9110 §7.6.1, RFC 9112 §6): never set or forwarded by configuration. */
const framing: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Fields whose meaning the proxy itself works out, for what is in store as for what is fetched. */
const own: ReadonlySet<string> = new Set([
  'cdn-loop',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
]);

/** What keeps a name from being a field that configuration may name at all. */
export function fieldNameProblem(value: string): string | undefined {
  if (!token.test(value) || value.length > 256) {
    return `${quoted(value)} is no field name (letters, digits and !#$%&'*+-.^_\`|~ only)`;
  }
  const name = value.toLowerCase();
  if (framing.has(readName(name)))
    return `${name} frames the message or belongs to one connection; the proxy sets it itself`;
  return undefined;
}

/** Fields beside {@link own} that no call carries otherwise than as the proxy writes them. */
const alwaysOurs: ReadonlySet<string> = new Set([
  'accept-encoding',
  'content-encoding',
  'content-range',
  'forwarded',
  'http2-settings',
  'via',
  'x-real-ip',
]);

/** What keeps a name from being a field that an upstream's `fields` or `credentials` put on. */
export function staticFieldProblem(value: string): string | undefined {
  const problem = fieldNameProblem(value);
  if (problem !== undefined) return problem;
  const name = value.toLowerCase();
  // What is read as one of them takes the place of a client's (`isReadAs`).
  if (!own.has(readName(name)) && !alwaysOurs.has(name) && !name.startsWith('x-forwarded-')) return undefined;
  const hint = name === 'accept-encoding' ? ' (see acceptEncoding)' : '';
  return `${name} is worked out by the proxy itself and cannot be set${hint}`;
}

/** What keeps a name from being a field of the request that a route may key or forward. */
export function forwardedFieldProblem(value: string): string | undefined {
  const problem = fieldNameProblem(value);
  if (problem !== undefined) return problem;
  const name = value.toLowerCase();
  return own.has(readName(name)) ? `${name} is worked out by the proxy itself and never forwarded` : undefined;
}

/** As {@link forwardedFieldProblem}; a coding in the key would store the same body once per spelling of the field. */
export function keyedFieldProblem(value: string): string | undefined {
  if (value.toLowerCase() !== 'accept-encoding') return forwardedFieldProblem(value);
  return "accept-encoding does not enter the key: one stored response serves every coding (see the upstream's acceptEncoding)";
}

/** What keeps text from being a field value (RFC 9110 §5.5); says nothing of the value itself, which may be secret. */
export function fieldValueProblem(value: string): string | undefined {
  if (!/^[\x20-\x7e]*$/.test(value)) return 'holds characters that a field value cannot have (printable ASCII only)';
  return value === value.trim() ? undefined : 'begins or ends with a space';
}

/** `host:port`, `[::1]:8080`; port 0 is any free port. */
export function parseListen(text: string): Result<ListenAddress, string> {
  const found = /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+):(\d{1,5})$/.exec(text);
  const [, written = '', port = ''] = found ?? [];
  const host = written.startsWith('[') ? written.slice(1, -1) : written;
  if (!found || (host !== written && isIP(host) !== 6)) {
    return refused(
      `expected host:port such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080 (all interfaces), given ${quoted(text)}`,
    );
  }
  if (/^[\d.]+$/.test(host) && isIP(host) !== 4) return refused(`${quoted(host)} is no IPv4 address`);
  return Number(port) <= 65_535 ? ok({ host, port: Number(port) }) : refused(`a port is 0 to 65535, given ${port}`);
}

/** True where only programs of this machine (or pod) can connect. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** `http://host[:port]` or `https://…`, normalised as URLs are. The message never shows what could be a secret. */
export function parseOrigin(text: string): Result<string, string> {
  const shape = 'expected http://host[:port] or https://host[:port]';
  if (text.includes('@')) {
    return refused(`${shape}, given one with user information; put secrets into credentials`);
  }
  // Paths and queries of APIs hold keys often enough.
  const shown = quoted(/^(?:[a-z][a-z0-9+.-]*:\/\/)?[^/?#\\]*/i.exec(text)?.[0] ?? '');
  const hint = bareVariableHint(shown);
  // A host may have a `$` by the rules of URLs, and none has.
  if (!URL.canParse(text) || hint !== '') return refused(`${shape}, given ${shown}${hint}`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return refused(`${shape}, given ${shown}`);
  if (/^https?:\/\/[^/?#\\]+\/?$/i.test(text)) return ok(url.origin);
  return refused(
    `${shape} without a path, query or fragment, given more after ${shown}; paths belong to a route's forward, secrets into credentials`,
  );
}

/** For a text that is refused and may be meant as a variable; empty where it is none. */
export function bareVariableHint(text: string): string {
  return /\$[A-Za-z_]/.test(text) ? '; variables are written ${NAME}' : '';
}

/** A host as requests name it: lower-cased, no port (RFC 3986 §3.2.2). */
export function parseRouteHost(text: string): Result<string, string> {
  const host = text.toLowerCase();
  if (/^\[[0-9a-f:.]+\]$/.test(host)) {
    return isIP(host.slice(1, -1)) === 6 ? ok(host) : refused(`${quoted(text)} is no IPv6 address`);
  }
  if (/:\d+$/.test(host)) return refused(`${quoted(text)} has a port; bind the route to a listener instead`);
  if (/^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/.test(host)) return ok(host);
  return refused(`expected a host name or address such as weather.internal, given ${quoted(text)}`);
}

/** What keeps text from naming a time zone of this runtime's database. */
export function zoneProblem(value: string): string | undefined {
  // The default. With the first zone Intl reads its database, which takes a start 20 ms and several MiB.
  if (value === 'UTC') return undefined;
  try {
    // Offsets such as +02:00 are zones to Intl, but not to people who expect summer time.
    if (/^[A-Za-z]/.test(value)) {
      Intl.DateTimeFormat('en', { timeZone: value });
      return undefined;
    }
  } catch {
    return `${quoted(value)} is no IANA time zone (such as UTC or Europe/Berlin)`;
  }
  return `${quoted(value)} is no IANA time zone (such as UTC or Europe/Berlin)`;
}
