import type { FieldLines } from './fields.ts';
import type { Route } from './route.ts';

/**
 * Request fields that never go upstream on a cached route unless the route keys them: who the caller is, what only
 * holds for one hop, what the proxy decides itself (conditions, ranges, codings of ruled routes), and fields by which
 * some frameworks let a request change its own method, host or path (unkeyed input that could poison the store).
 */
const NEVER = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'content-length',
  'content-type',
  'content-encoding',
  'forwarded',
  'via',
  'x-real-ip',
  'x-original-url',
  'x-original-host',
  'x-rewrite-url',
  'x-host',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
]);

/**
 * The client's fields that an `honour` route sends upstream without keying them (upstream's `Vary` keys them).
 * Empty on ruled routes, whose every forwarded field is keyed.
 */
export function forwardedFields(route: Route, fields: FieldLines): FieldLines {
  if (route.forwardHeaders.length === 0) return [];
  const all = route.forwardHeaders.includes('*');
  const nominated = connectionNominated(fields);
  return fields.filter(([name]) => {
    if (NEVER.has(name) || name.startsWith('x-forwarded-') || nominated.has(name)) return false;
    if (route.headers.includes(name)) return false;
    return all || route.forwardHeaders.includes(name);
  });
}

/** Names that `Connection` marks as hop-by-hop (RFC 9110 §7.6.1). */
function connectionNominated(fields: FieldLines): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [name, value] of fields) {
    if (name !== 'connection') continue;
    for (const option of value.split(',')) names.add(option.trim().toLowerCase());
  }
  return names;
}
