import type { UpstreamConfig } from '../core/config.ts';
import type { FieldLine, FieldLines } from '../core/fields.ts';
import { hasField } from '../core/fields.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import { plainFields } from '../core/plain-fields.ts';
import { fieldsWithCredentials } from './credentials.ts';

/** Our member of `Via` in both directions (RFC 9110 §7.6.3). */
export const viaMember = '1.1 forecache';

/** Written by whoever writes the message, or meant for the proxy alone. */
const ours: ReadonlySet<string> = new Set(['host', 'content-length', 'expect', 'http2-settings']);

/** Where a request came from is nobody's business upstream; some frameworks even believe it. */
function tellsOfClient(name: string): boolean {
  return name === 'forwarded' || name === 'x-real-ip' || name.startsWith('x-forwarded-');
}

/**
 * The field lines of a call of our own, beside `Host` and the framing: the given ones, the upstream's static fields and
 * credentials in place of the same names, and what a request needs that has none of it. Names are in lower case.
 */
export function requestFields(fields: FieldLines, upstream: UpstreamConfig, version: string): FieldLines {
  const lines: FieldLine[] = [...withStatic(fields, upstream)];
  if (!hasField(lines, 'user-agent')) lines.push(['user-agent', `forecache/${version}`]);
  if (!hasField(lines, 'accept')) lines.push(['accept', '*/*']);
  return fieldsWithCredentials(lines, upstream.credentials);
}

/**
 * As {@link requestFields} for a client's request that is relayed: nothing is added but what must be.
 *
 * @param searched credentials are looked for in the answer, so that it has to be plain and whole
 */
export function relayedFields(fields: FieldLines, upstream: UpstreamConfig, searched: boolean): FieldLines {
  const kept = withStatic(searched ? plainFields(fields) : fields, upstream).filter(([name]) => !tellsOfClient(name));
  return fieldsWithCredentials(kept, upstream.credentials);
}

function withStatic(fields: FieldLines, upstream: UpstreamConfig): FieldLines {
  const kept = endToEnd(fields).filter(([name]) => !ours.has(name) && !upstream.fields.has(name));
  // RFC 9110 §7.6.3: a gateway says so on its way in; it also shows loops.
  return [...kept, ...upstream.fields, ['via', viaMember]];
}
