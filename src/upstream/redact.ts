import type { Credentials } from '../core/config.ts';
import { fieldValue, type FieldLines } from '../core/fields.ts';
import { type FoundRange, foundRanges, openFrom } from '../core/found-ranges.ts';
import { chanceOf, maskedValues } from '../core/secret-values.ts';
import { type SpeltValue, speltValue } from '../core/spelt-value.ts';
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
  const ofText = values.map(speltValue);
  // What no other content holds by chance: images and archives must come through whole.
  const ofAll = values.filter((value) => chanceOf(value) === undefined).map(speltValue);
  const valuesFor = (fields: FieldLines): readonly SpeltValue[] => (isText(fields) ? ofText : ofAll);
  const { text } = createTextMasker(ofText);
  const active = values.length > 0;
  return {
    active,
    text,
    fields: (fields) =>
      active ? fields.map(([name, value]): readonly [string, string] => [name, text(value)]) : fields,
    searches: (fields) => active && valuesFor(fields).length > 0,
    stream: (chunks, fields = []) => {
      const searched = valuesFor(fields);
      return searched.length === 0 ? chunks : maskedStream(chunks, searched);
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

async function* maskedStream(chunks: AsyncIterable<Buffer>, values: readonly SpeltValue[]): AsyncGenerator<Buffer> {
  // As it came, since what a mask covers may be the beginning of a longer value. Always less than the longest of them.
  let held: Buffer = Buffer.alloc(0);
  // So many of its first bytes are covered by a value that is found already, and passed on as stars.
  let told = 0;
  for await (const chunk of chunks) {
    const raw = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const ranges = foundRanges(raw, values);
    const keptFrom = openFrom(raw, values);
    let ready = Math.max(told, keptFrom);
    for (const { start, end } of ranges) if (start <= ready && end > ready) ready = end;
    const out = withStars(raw, ranges).subarray(told, ready);
    held = Buffer.from(raw.subarray(keptFrom));
    told = ready - keptFrom;
    if (out.length > 0) yield out;
  }
  if (held.length > told) yield withStars(held, foundRanges(held, values)).subarray(told);
}

/** The same bytes where there is nothing to mask, else a copy. */
function withStars(bytes: Buffer, ranges: readonly FoundRange[]): Buffer {
  if (ranges.length === 0) return bytes;
  const clean = Buffer.from(bytes);
  for (const { start, end } of ranges) clean.fill('*', start, end);
  return clean;
}
