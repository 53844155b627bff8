import type { UpstreamConfig } from './config.ts';
import { type FieldLines, hasField } from './fields.ts';
import type { Route } from './route.ts';

/**
 * Makes a `Location` that points into the upstream's origin relative, so that clients stay on the proxy. Only where the
 * path means the same on both sides (a route without `forward`); elsewhere it stays as it is. A path that begins with
 * `//` stays too: it would name a host.
 */
export function locationOnProxy(
  fields: FieldLines,
  upstream: Pick<UpstreamConfig, 'origin'>,
  route: Pick<Route, 'forward'>,
): FieldLines {
  if (route.forward !== undefined || !hasField(fields, 'location')) return fields;
  const prefix = upstream.origin.toLowerCase();
  return fields.map(([name, value]): readonly [string, string] => {
    if (name !== 'location' || !value.toLowerCase().startsWith(prefix)) return [name, value];
    const rest = value.slice(prefix.length);
    return rest.startsWith('/') && !/^\/[/\\]/.test(rest) ? [name, rest] : [name, value];
  });
}
