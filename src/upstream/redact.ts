import type { Credentials } from '../core/config.ts';
import { fieldValue, type FieldLines } from '../core/fields.ts';
import { type FoundRange, foundRanges } from '../core/found-ranges.ts';
import { chanceOf, maskedValues, spellingsOf } from '../core/secret-values.ts';
import { createTextMasker } from '../core/text-masker.ts';
import { isCoded } from './decode.ts';

/** Takes an upstream's credential values out of what it answers; real upstreams echo them in fields, redirects and error bodies. */
export interface Redactor {
  /** False where the upstream has no credential that is looked for: everything passes untouched. */
  readonly active: boolean;
  /** Values become `***`, those that overlap one. */
  text(value: string): string;
  /** As {@link text}, for all field lines. */
  fields(fields: FieldLines): FieldLines;
  /** Whether content with these fields is searched: text for every value, other types for those alone that nothing holds by chance. */
  searches(fields: FieldLines): boolean;
  /**
   * A body, also where a value is spread over chunks, and whatever the values have in common: the bytes are those of the whole
   * masked at once. Each value becomes as many `*` as it is long, so that lengths and framing stay true. Holds back only bytes
   * that may be a value's beginning, fewer than the longest spelling has; the given chunks are not changed.
   *
   * @param fields which say of what type it is; without any it is text
   */
  stream(chunks: AsyncIterable<Buffer>, fields?: FieldLines): AsyncIterable<Buffer>;
}

/** Finds the credentials' values raw and in the encodings in which upstreams echo them. */
export function createRedactor(credentials: Credentials): Redactor {
  const values = maskedValues(credentials);
  const needles = spellingsOf(values);
  const ofText = asBytes(needles);
  // What no other content holds by chance: images and archives must come through whole.
  const ofAll = asBytes(spellingsOf(values.filter((value) => chanceOf(value) === undefined)));
  const bytesFor = (fields: FieldLines): readonly Buffer[] => (isText(fields) ? ofText : ofAll);
  const { text } = createTextMasker(needles);
  return {
    active: needles.length > 0,
    text,
    fields: (fields) =>
      needles.length === 0 ? fields : fields.map(([name, value]): readonly [string, string] => [name, text(value)]),
    searches: (fields) => needles.length > 0 && bytesFor(fields).length > 0,
    stream: (chunks, fields = []) => {
      const bytes = bytesFor(fields);
      return bytes.length === 0 ? chunks : maskedStream(chunks, bytes);
    },
  };
}

/** Whether a body of these fields is text that a value could be read from: neither binary nor in a content coding. */
export function isText(fields: FieldLines): boolean {
  if (isCoded(fields)) return false;
  const type = fieldValue(fields, 'content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type === undefined || type === '') return true;
  return type.startsWith('text/') || textTypes.test(type);
}

/** Sequences and lines of JSON have a dozen names and no registered suffix but `-seq` (RFC 7464, RFC 8091). */
const textTypes =
  /[/+](?:x-)?(?:json(?:5|l|lines|-lines|-seq)?|ndjson|xml|yaml|javascript|ecmascript|www-form-urlencoded|graphql(?:-response)?|csv|sql|toml)$/;

function asBytes(needles: readonly string[]): readonly Buffer[] {
  return needles.map((needle) => Buffer.from(needle, 'utf8'));
}

async function* maskedStream(chunks: AsyncIterable<Buffer>, needles: readonly Buffer[]): AsyncGenerator<Buffer> {
  // As it came, since what a mask covers may be the beginning of a longer value. Always less than the longest of them.
  let held: Buffer = Buffer.alloc(0);
  // So many of its first bytes are covered by a value that is found already, and passed on as stars.
  let told = 0;
  for await (const chunk of chunks) {
    const raw = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const ranges = foundRanges(raw, needles);
    const keptFrom = raw.length - heldBack(raw, needles);
    let ready = Math.max(told, keptFrom);
    for (const { start, end } of ranges) if (start <= ready && end > ready) ready = end;
    const out = withStars(raw, ranges).subarray(told, ready);
    held = Buffer.from(raw.subarray(keptFrom));
    told = ready - keptFrom;
    if (out.length > 0) yield out;
  }
  if (held.length > told) yield withStars(held, foundRanges(held, needles)).subarray(told);
}

/** The same bytes where there is nothing to mask, else a copy. */
function withStars(bytes: Buffer, ranges: readonly FoundRange[]): Buffer {
  if (ranges.length === 0) return bytes;
  const clean = Buffer.from(bytes);
  for (const { start, end } of ranges) clean.fill('*', start, end);
  return clean;
}

/** How many last bytes are the beginning of a value that may go on in the next chunk. */
function heldBack(bytes: Buffer, needles: readonly Buffer[]): number {
  let longest = 0;
  for (const needle of needles) longest = Math.max(longest, begunAtEnd(bytes, needle));
  return longest;
}

function begunAtEnd(bytes: Buffer, needle: Buffer): number {
  const first = needle.readUInt8(0);
  const from = Math.max(0, bytes.length - needle.length + 1);
  for (let at = bytes.indexOf(first, from); at !== -1; at = bytes.indexOf(first, at + 1)) {
    const size = bytes.length - at;
    if (bytes.compare(needle, 0, size, at) === 0) return size;
  }
  return 0;
}
