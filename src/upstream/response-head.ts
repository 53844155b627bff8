import type { UpstreamConfig } from '../core/config.ts';
import { BoundedMemo } from '../core/bounded-memo.ts';
import { fieldValue, type FieldLine, type FieldLines } from '../core/fields.ts';
import { splitList, trimOws } from '../core/list.ts';

/** How the end of a response's content is known (RFC 9112 §6.3). */
export type ResponseFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Until the connection closes: a cut cannot be told from an end. */
  | { readonly kind: 'close' };

/**
 * Whether these are all bytes of content that its framing knows of. The parser must not be stopped behind them: it would not get to
 * tell that the message is complete, and a connection that ends meanwhile would be taken for the end of an incomplete one.
 */
export function isLast(framing: ResponseFraming | undefined, bytes: number): boolean {
  return framing?.kind === 'length' && bytes >= framing.bytes;
}

/** What of a response says how its content ends, and how much is taken on trust. */
export interface FramingInput {
  readonly method: string;
  readonly status: number;
  readonly fields: FieldLines;
  readonly rule: UpstreamConfig['framing'];
}

/**
 * Names of the registry of transfer codings (RFC 9112 §7.2). No request of ours asks for one (RFC 9110 §10.1.4), so we take
 * none off: what is sent in one would be passed on, and stored, in a coding that nothing names any more.
 */
const coded: ReadonlySet<string> = new Set(['chunked', 'compress', 'x-compress', 'deflate', 'gzip', 'x-gzip']);

/**
 * `undefined`: framing that is no framing (lengths that disagree; a transfer coding that we do not take off, where it is a
 * known one or the rule is strict).
 */
export function framingOf({ method, status, fields, rule }: FramingInput): ResponseFraming | undefined {
  if (method === 'HEAD' || status === 204 || status === 304) return { kind: 'none' };
  const transferCoding = fieldValue(fields, 'transfer-encoding');
  if (transferCoding !== undefined) {
    if (transferCoding.trim().toLowerCase() === 'chunked') return { kind: 'chunked' };
    if (rule === 'strict') return undefined;
    const names = splitList(transferCoding).map((coding) => trimOws(coding.split(';', 1)[0] ?? '').toLowerCase());
    // Whatever has chunked in it the parser may take for chunks, and what is left is then not what was sent.
    return names.some((name) => coded.has(name) || name.includes('chunked')) ? undefined : { kind: 'close' };
  }
  return framingByLength(fields);
}

function framingByLength(fields: FieldLines): ResponseFraming | undefined {
  let length: string | undefined;
  for (const line of fields) {
    if (line[0] !== 'content-length') continue;
    if (length !== undefined && length !== line[1]) return undefined;
    length = line[1];
  }
  if (length === undefined) return { kind: 'close' };
  return /^\d{1,15}$/.test(length) ? { kind: 'length', bytes: Number(length) } : undefined;
}

/** Bytes of the field lines of a head with their line ends, each taken as `Name: value`: what `maxHeaderBytes` counts. */
export function fieldLineBytes(fields: FieldLines): number {
  let bytes = 4 * fields.length;
  // By index: taking each pair apart was 1 µs of a miss.
  for (const line of fields) bytes += line[0].length + line[1].length;
  return bytes;
}

/** A name that was read, in the form in which it is compared, and what was said under it last. */
interface KnownName {
  readonly name: string;
  /** As it came; `undefined`: nothing that is kept. */
  text: string | undefined;
  line: FieldLine | undefined;
}

/** Names that were read: upstreams send the same ones with each answer, and most with the value of the answer before. */
const names = new BoundedMemo<KnownName>(512);

/** Longer names and values are read anew each time: what is kept is bounded in bytes, too. */
const MAX_KEPT = 64;

/** Fields as undici gives them beside the raw ones: by name in lower case, several lines of one name as a list. */
export type NamedFields = Readonly<Record<string, string | string[] | undefined>>;

/**
 * Name and value pairs as a parser gives them, flat; `undefined` when one of them could not be sent on.
 *
 * @param named the same fields where they have been made text already, which takes longer than all else that is done here
 */
export function fieldLinesOf(raw: readonly (string | Buffer)[], named?: NamedFields): FieldLines | undefined {
  const lines: FieldLine[] = [];
  const keys = named === undefined ? undefined : keysInOrder(named, raw.length / 2);
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const key = keys?.[index / 2];
    const value = key === undefined ? undefined : named?.[key];
    const line =
      key === undefined || typeof value !== 'string'
        ? lineOf(latin1(raw[index]), latin1(raw[index + 1]))
        : lineOf(key, value);
    if (line === undefined) return undefined;
    lines.push(line);
  }
  return lines;
}

/** The names in the order of their lines; `undefined` where an object cannot hold that. */
function keysInOrder(named: NamedFields, lines: number): readonly string[] | undefined {
  const keys = Object.keys(named);
  // Of several lines of one name the order among the others is lost, and names that are numbers come first.
  return keys.length === lines && !/^[0-9]/.test(keys[0] ?? '') ? keys : undefined;
}

function lineOf(text: string, received: string): FieldLine | undefined {
  const known = names.get(text) ?? nameOf(text);
  if (known === undefined) return undefined;
  if (known.text === received) return known.line;
  const value = received.trim();
  // What node:http would refuse to send; parsers let some of it through.
  if (!/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value)) return undefined;
  const line: FieldLine = [known.name, value];
  if (received.length <= MAX_KEPT) {
    known.text = received;
    known.line = line;
  }
  return line;
}

function nameOf(text: string): KnownName | undefined {
  const name = text.toLowerCase();
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return undefined;
  const known: KnownName = { name, text: undefined, line: undefined };
  if (name.length <= MAX_KEPT) names.set(text, known);
  return known;
}

function latin1(text: string | Buffer | undefined): string {
  return typeof text === 'string' ? text : (text?.toString('latin1') ?? '');
}
