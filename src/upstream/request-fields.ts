import type { UpstreamConfig } from '../core/config.ts';
import type { FieldLine, FieldLines } from '../core/fields.ts';
import { hasField } from '../core/fields.ts';
import { endToEnd } from '../core/hop-by-hop.ts';
import { fieldsWithCredentials } from './credentials.ts';

/** Our member of `Via` in both directions (RFC 9110 §7.6.3). */
export const viaMember = '1.1 forecache';

/** Written by whoever writes the message, or meant for the proxy alone. */
const ours: ReadonlySet<string> = new Set(['host', 'content-length', 'expect', 'http2-settings']);

/**
 * The field lines that go upstream beside `Host` and the framing: end-to-end lines of the request, the upstream's
 * static fields and credentials in place of the same names, and what a request needs that has none of it.
 * `fields` come in lower case.
 */
export function requestFields(fields: FieldLines, upstream: UpstreamConfig, version: string): FieldLines {
  const lines: FieldLine[] = endToEnd(fields).filter(([name]) => !ours.has(name) && !upstream.fields.has(name));
  for (const [name, value] of upstream.fields) lines.push([name, value]);
  if (!hasField(lines, 'user-agent')) lines.push(['user-agent', `forecache/${version}`]);
  if (!hasField(lines, 'accept')) lines.push(['accept', '*/*']);
  lines.push(['via', viaMember]);
  return fieldsWithCredentials(lines, upstream.credentials);
}
