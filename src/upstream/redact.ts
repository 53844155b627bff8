import type { Credentials } from '../core/config.ts';
import { fieldValue, type FieldLines } from '../core/fields.ts';
import { chanceOf, maskedValues } from '../core/secret-values.ts';
import { isCoded } from './decode.ts';

/** Takes an upstream's credential values out of what it answers; real upstreams echo them in fields, redirects and error bodies. */
export interface Redactor {
  /** False where the upstream has no credential that is looked for: everything passes untouched. */
  readonly active: boolean;
  /** Values become `***`. */
  text(value: string): string;
  /** As {@link text}, for all field lines. */
  fields(fields: FieldLines): FieldLines;
  /** Whether content with these fields is searched: text for every value, other types for those alone that nothing holds by chance. */
  searches(fields: FieldLines): boolean;
  /**
   * A body, also where a value is spread over chunks. Each value becomes as many `*` as it is long, so that lengths and
   * framing stay true. Holds back only bytes that may be a value's beginning; the given chunks are not changed.
   *
   * @param fields which say of what type it is; without any it is text
   */
  stream(chunks: AsyncIterable<Buffer>, fields?: FieldLines): AsyncIterable<Buffer>;
}

/** Finds the credentials' values raw and in the encodings in which upstreams echo them. */
export function createRedactor(credentials: Credentials): Redactor {
  const values = maskedValues(credentials);
  const needles = spellings(values);
  const ofText = asBytes(needles);
  // What no other content holds by chance: images and archives must come through whole.
  const ofAll = asBytes(spellings(values.filter((value) => chanceOf(value) === undefined)));
  const bytesFor = (fields: FieldLines): readonly Buffer[] => (isText(fields) ? ofText : ofAll);
  const text = (value: string): string => {
    let clean = value;
    for (const needle of needles) clean = clean.replaceAll(needle, '***');
    return clean;
  };
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

function spellings(values: readonly string[]): readonly string[] {
  const all = new Set<string>();
  for (const value of values) {
    const percent = encodeURIComponent(value);
    const strict = percent.replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
    const json = JSON.stringify(value).slice(1, -1);
    const forms = [value, percent, strict, strict.replaceAll('%20', '+'), json, json.replaceAll('/', String.raw`\/`)];
    forms.push(value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'));
    // Encoded once more, as in a redirect's `?next=…`.
    forms.push(encodeURIComponent(strict));
    for (const form of forms) {
      all.add(form);
      all.add(form.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()));
    }
  }
  // The longest first, so that no value is half covered by another that it contains.
  return [...all].toSorted((a, b) => b.length - a.length);
}

function masked(body: Buffer, needles: readonly Buffer[]): Buffer {
  let clean: Buffer | undefined;
  for (const needle of needles) {
    for (let at = body.indexOf(needle); at !== -1; at = body.indexOf(needle, at + needle.length)) {
      clean ??= Buffer.from(body);
      clean.fill('*', at, at + needle.length);
    }
  }
  return clean ?? body;
}

async function* maskedStream(chunks: AsyncIterable<Buffer>, needles: readonly Buffer[]): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const joined = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const clean = masked(joined, needles);
    const keep = heldBack(clean, needles);
    held = Buffer.from(clean.subarray(clean.length - keep));
    const out = clean.subarray(0, clean.length - keep);
    if (out.length > 0) yield out;
  }
  if (held.length > 0) yield masked(held, needles);
}

/** How many last bytes are the beginning of a value that may go on in the next chunk. */
function heldBack(bytes: Buffer, needles: readonly Buffer[]): number {
  let longest = 0;
  for (const needle of needles) {
    for (let size = Math.min(needle.length - 1, bytes.length); size > longest; size--) {
      if (bytes.subarray(bytes.length - size).equals(needle.subarray(0, size))) {
        longest = size;
        break;
      }
    }
  }
  return longest;
}
