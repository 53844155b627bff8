import type { FieldLines } from './fields.ts';
import { endToEnd } from './hop-by-hop.ts';
import type { Route } from './route.ts';

/**
 * End-to-end request fields that never go upstream on a cached route unless the route keys them: who the caller is, what
 * the proxy decides itself (conditions, ranges, codings of ruled routes), and fields by which some frameworks let a
 * request change its own method, host or path (unkeyed input that could poison the store).
 */
const NEVER = new Set([
  'authorization',
  'cookie',
  'host',
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
  return endToEnd(fields).filter(([name]) => {
    if (NEVER.has(name) || name.startsWith('x-forwarded-')) return false;
    if (route.headers.includes(name)) return false;
    return all || route.forwardHeaders.includes(name);
  });
}
