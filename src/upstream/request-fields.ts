import type { IncomingMessage } from 'node:http';

import { anyAccept } from '../core/any-accept.ts';
import type { UpstreamConfig } from '../core/config.ts';
import type { FieldLine, FieldLines } from '../core/fields.ts';
import { hasField } from '../core/fields.ts';
import { CDN_LOOP } from '../core/loop-marks.ts';
import { tellsOfClient } from '../core/forwarded-fields.ts';
import { endToEnd, isHopByHopName } from '../core/hop-by-hop.ts';
import { withOneForwardLess } from '../core/max-forwards.ts';
import { plainFields } from '../core/plain-fields.ts';
import { isReadAs, readName } from '../core/read-name.ts';
import { VIA } from '../core/via.ts';
import { fieldsWithCredentials } from './credentials.ts';
import { fieldLinesOf } from './response-head.ts';

/** Written by whoever writes the message, or meant for the proxy alone. */
const ours: ReadonlySet<string> = new Set(['host', 'content-length', 'expect', 'http2-settings']);

/**
 * The field lines of a call of our own, beside `Host` and the framing: the given ones, the upstream's static fields and
 * credentials in place of the same names, and what a request needs that has none of it. Names are in lower case.
 */
export function requestFields(fields: FieldLines, upstream: UpstreamConfig, version: string): FieldLines {
  const lines: FieldLine[] = [...withStatic(fields, upstream)];
  if (!hasField(lines, 'user-agent')) lines.push(['user-agent', `forecache/${version}`]);
  if (!hasField(lines, 'accept')) lines.push(anyAccept);
  return lines;
}

/** The field lines of a client's request, as they are to be forwarded where nothing else is said of them. */
export function clientFields({ method = '', rawHeaders }: Pick<IncomingMessage, 'method' | 'rawHeaders'>): FieldLines {
  return withOneForwardLess(method, fieldLinesOf(rawHeaders) ?? []);
}

/**
 * As {@link requestFields} for a client's request that is relayed: nothing is added but what must be.
 *
 * @param searched credentials are looked for in the answer, so that it has to be plain and whole
 * @param mark goes behind those that the request has brought
 */
export function relayedFields(
  fields: FieldLines,
  upstream: UpstreamConfig,
  searched: boolean,
  mark: string | undefined,
): FieldLines {
  const sent = (searched ? plainFields(fields) : fields).filter(([name]) => !tellsOfClient(readName(name)));
  const lines = withStatic(sent, upstream);
  return mark === undefined ? lines : [...lines, [CDN_LOOP, mark]];
}

function withStatic(fields: FieldLines, upstream: UpstreamConfig): FieldLines {
  const kept = endToEnd(fields).filter(([name]) => !isWritten(readName(name)) && !isReadAs(name, upstream.fields));
  // RFC 9110 §7.6.3: a gateway says so on its way in; it also shows loops.
  return [...fieldsWithCredentials(kept, upstream.credentials), ...upstream.fields, VIA];
}

/** Whether a field of the name is one that only we write: behind a name that is read so content could hide another request. */
function isWritten(name: string): boolean {
  return ours.has(name) || isHopByHopName(name);
}
