import type { UpstreamConfig } from '../core/config.ts';
import { fieldLineValues, fieldValue, type FieldLine, type FieldLines } from '../core/fields.ts';

/** How the end of a response's content is known (RFC 9112 §6.3). */
export type ResponseFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Until the connection closes: a cut cannot be told from an end. */
  | { readonly kind: 'close' };

/** What of a response says how its content ends, and how much is taken on trust. */
export interface FramingInput {
  readonly method: string;
  readonly status: number;
  readonly fields: FieldLines;
  readonly rule: UpstreamConfig['framing'];
}

/** `undefined`: framing that is no framing (lengths that disagree; if strict, a transfer coding that we do not know). */
export function framingOf({ method, status, fields, rule }: FramingInput): ResponseFraming | undefined {
  if (method === 'HEAD' || status === 204 || status === 304) return { kind: 'none' };
  const transferCoding = fieldValue(fields, 'transfer-encoding');
  if (transferCoding !== undefined) {
    if (transferCoding.trim().toLowerCase() === 'chunked') return { kind: 'chunked' };
    // Where chunked is among several codings the parser would take it off, and what is left is not what was sent.
    return rule === 'lenient' && !/chunked/i.test(transferCoding) ? { kind: 'close' } : undefined;
  }
  const lengths = new Set(fieldLineValues(fields, 'content-length'));
  if (lengths.size === 0) return { kind: 'close' };
  const [length = ''] = lengths;
  return lengths.size === 1 && /^\d{1,15}$/.test(length) ? { kind: 'length', bytes: Number(length) } : undefined;
}

/** Bytes of the field lines of a head with their line ends, each taken as `Name: value`: what `maxHeaderBytes` counts. */
export function fieldLineBytes(fields: FieldLines): number {
  let bytes = 0;
  for (const [name, value] of fields) bytes += name.length + value.length + 4;
  return bytes;
}

/** Name and value pairs as a parser gives them, flat; `undefined` when one of them could not be sent on. */
export function fieldLinesOf(raw: readonly (string | Buffer)[]): FieldLines | undefined {
  const lines: FieldLine[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = latin1(raw[index]).toLowerCase();
    const value = latin1(raw[index + 1]).trim();
    // What node:http would refuse to send; parsers let some of it through.
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) || !/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value)) return undefined;
    lines.push([name, value]);
  }
  return lines;
}

function latin1(text: string | Buffer | undefined): string {
  return typeof text === 'string' ? text : (text?.toString('latin1') ?? '');
}
