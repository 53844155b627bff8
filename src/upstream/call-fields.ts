import type { UpstreamCall } from '../cache/upstream-ports.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { type FieldLines, withoutFields } from '../core/fields.ts';
import { CDN_LOOP } from '../core/loop-marks.ts';
import type { CanonicalContent } from '../core/request.ts';
import { requestFields } from './request-fields.ts';

/** The field lines of a call beside `Host` and the framing, as undici takes them: names and values by turns. Not to be changed. */
export type CallFields = (call: UpstreamCall) => string[];

/** `version`: ours, for `User-Agent`. */
export function createCallFields(config: UpstreamConfig, version: string): CallFields {
  const lines = (call: UpstreamCall): string[] => requestFields(askedFields(call, config), config, version).flat();
  // Most routes key no field and send none on: all their calls have the same lines.
  const plain = { canonical: { upstream: config.name, method: 'GET', target: '/', fields: [] }, fields: [] } as const;
  const decoded = lines({ ...plain, decode: true, purpose: 'interactive' });
  const untouched = lines({ ...plain, decode: false, purpose: 'interactive' });
  return (call) => {
    const { fields, content } = call.canonical;
    const isOther = fields.length > 0 || call.fields.length > 0 || content !== undefined;
    return marked(isOther ? lines(call) : call.decode ? decoded : untouched, call.marks);
  };
}

function marked(lines: string[], marks: string | undefined): string[] {
  return marks === undefined ? lines : lines.concat(CDN_LOOP, marks);
}

/** The keyed fields and the further ones; of a name in both the keyed lines count. */
function askedFields(call: UpstreamCall, config: UpstreamConfig): FieldLines {
  const { content } = call.canonical;
  const own = content === undefined ? call.canonical.fields : contentFields(call.canonical.fields, content);
  const keyed = new Set(own.map(([name]) => name));
  const further = content === undefined ? call.fields : withoutFields(call.fields, ofContent);
  const lines = [...own, ...further.filter(([name]) => !keyed.has(name))];
  if (!call.decode) return lines;
  // One coding for everybody: the body is stored as identity and negotiated with each client.
  return [...lines.filter(([name]) => name !== 'accept-encoding'), ['accept-encoding', config.acceptEncoding]];
}

/** Said of content as it came: of its canonical spelling it may be wrong (RFC 9110 §8, RFC 9530). */
const ofContent: ReadonlySet<string> = new Set([
  'content-type',
  'content-encoding',
  'content-md5',
  'content-digest',
  'repr-digest',
  'digest',
]);

function contentFields(fields: FieldLines, { type }: CanonicalContent): FieldLines {
  const kept = withoutFields(fields, ofContent);
  return type === '' ? kept : [...kept, ['content-type', type]];
}
