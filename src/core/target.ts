import { ok, refused, type Problem, type Result } from './problem.ts';

/** A request target (RFC 9112 §3.2), taken apart but never decoded. */
export interface RequestTarget {
  /** Byte for byte as received; `/` where an absolute-form target has an empty path (RFC 9110 §4.2.3). */
  readonly path: string;
  /** Without the `?`; `undefined` where there is none. */
  readonly query: string | undefined;
  /** Of an absolute-form target, as received: it wins over the `Host` field (RFC 9112 §3.2.2). {@link parseHost} accepts it. */
  readonly authority: string | undefined;
}

/** A host and port, as in the `Host` field (RFC 9110 §7.2). */
export interface HostPort {
  /** Lower-cased, without the dot of a fully qualified name; IPv6 in brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

/** `absolute-path` of RFC 9110 §4.1, made of `pchar` (RFC 3986 §3.3). */
const PATH = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/;

/**
 * A segment that is `.` or `..`, its dots plain or encoded. Servers that decode `%2F` and `%5C` see segments between them,
 * and servlet containers cut `;…` off a segment before they resolve it, so these end a segment here too.
 */
const DOT_SEGMENT = /(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?:$|\/|;|%3b|%2f|%5c)/i;

/** `%C0%AE` and its like: an old decoder reads a dot or a slash in it, a new one does not. Never valid UTF-8 (RFC 3629 §3). */
const OVERLONG = /%c[01]%[89ab][0-9a-f]|%e0%[89][0-9a-f]%[89ab][0-9a-f]/i;

/** Control characters in disguise: some servers cut the path at `%00` and log `%0A` as it is. */
const ENCODED_CONTROL = /%(?:[01][0-9a-f]|7f)/i;

/**
 * Printable ASCII but `#`. Wider than RFC 3986, since clients send `[`, `|` and the like as they are; routes with query
 * rules write them percent-encoded.
 */
const QUERY = /^[!"$-~]*$/;

const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/is;

/** Longest host that DNS can name. */
const MAX_HOST = 253;

/** What keeps a path from being forwarded, as a sentence; `undefined` where nothing does. */
export function pathIssue(path: string): string | undefined {
  if (!PATH.test(path)) return notPchar(path);
  // Joined to a base URL it would name another host.
  if (path.startsWith('//')) return 'The path begins with //.';
  const isEscaped = path.includes('%');
  if ((isEscaped || path.includes('.')) && DOT_SEGMENT.test(path)) return 'The path holds a dot segment.';
  if (isEscaped && ENCODED_CONTROL.test(path)) return 'The path holds an encoded control character.';
  if (isEscaped && OVERLONG.test(path)) return 'The path holds an overlong UTF-8 sequence.';
  return undefined;
}

/**
 * Which character it is: browsers and curl send `[`, `]`, `|` and `^` as they are, and whoever reads this needs to know
 * how to write them.
 */
function notPchar(path: string): string {
  if (!path.startsWith('/')) return 'The path does not begin with /.';
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) return 'The path holds a % that two hexadecimal digits do not follow.';
  const char = /[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/.exec(path)?.[0] ?? '';
  if (!/^[ -~]$/.test(char)) return 'The path holds a character outside printable ASCII; percent-encode it as UTF-8.';
  const code = char.charCodeAt(0).toString(16).toUpperCase();
  const shown = char === ' ' ? 'a space' : `the character ${char}`;
  return `The path holds ${shown}, which RFC 3986 does not allow there; percent-encode it as %${code}.`;
}

/** A 400 for a target that is refused. */
export function targetProblem(detail: string): Problem {
  return { status: 400, code: 'target-invalid', title: 'Request target not accepted', detail };
}

/** Takes origin-form and absolute-form targets; `*`, authority-form, fragments and whatever could leave its path are refused. */
export function parseTarget(raw: string): Result<RequestTarget> {
  if (raw.startsWith('/')) return splitTarget(raw, undefined);
  const absolute = ABSOLUTE.exec(raw);
  if (absolute === null) return refused(targetProblem('The target is neither a path nor an http or https URL.'));
  const authority = absolute[1] ?? '';
  if (authority.includes('@')) return refused(targetProblem('The target holds user information.'));
  const host = parseHost(authority);
  if (!host.ok) return host;
  const rest = absolute[2] ?? '';
  return splitTarget(rest.startsWith('/') ? rest : `/${rest}`, authority);
}

function splitTarget(raw: string, authority: string | undefined): Result<RequestTarget> {
  const mark = raw.indexOf('?');
  const path = mark === -1 ? raw : raw.slice(0, mark);
  const query = mark === -1 ? undefined : raw.slice(mark + 1);
  const issue = pathIssue(path) ?? queryIssue(query);
  if (issue === undefined) return ok({ path, query, authority });
  // Neither a path nor a query may hold one.
  return refused(targetProblem(raw.includes('#') ? 'The target holds a fragment.' : issue));
}

function queryIssue(query: string | undefined): string | undefined {
  if (query === undefined || QUERY.test(query)) return undefined;
  return 'The query holds characters outside printable ASCII.';
}

/**
 * `host [":" port]` of RFC 3986, narrower in one point: a name is made of unreserved characters only. Nothing that DNS
 * can name is lost by that, and a list of hosts or an encoded one is not taken for a name.
 */
export function parseHost(value: string): Result<HostPort> {
  const parts = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~]+)(?::([0-9]{0,5}))?$/.exec(value);
  const host = (parts?.[1] ?? '').toLowerCase().replace(/\.$/, '');
  const port = Number(parts?.[2] ?? '');
  if (host === '' || host.length > MAX_HOST || port > 65_535 || isBrokenIpv6(host)) {
    return refused({
      status: 400,
      code: 'host-invalid',
      title: 'Host not accepted',
      detail: 'The host is empty or malformed.',
    });
  }
  return ok({ host, port: (parts?.[2] ?? '') === '' ? undefined : port });
}

function isBrokenIpv6(host: string): boolean {
  return host.startsWith('[') && !URL.canParse(`http://${host}/`);
}
