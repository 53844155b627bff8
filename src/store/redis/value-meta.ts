import type { FieldLines } from '../../core/fields.ts';
import { isHopByHopName } from '../../core/hop-by-hop.ts';
import type { Position, StoredItem, StoredResponse, VaryMarker } from '../../core/stored-response.ts';
import { MAX_TAGS } from '../../core/tags.ts';
import { isRememberedLanguage, isSelecting, MAX_MARKER_LANGUAGES } from '../../core/vary.ts';

/** What a value says of its item in JSON. Times count from the request time in the header, so that no clock is in them. */
export interface ValueMeta {
  /** Whole key, route, upstream, URL, tags. */
  readonly k: string;
  readonly r: string;
  readonly p: string;
  readonly u: string;
  readonly t: readonly string[];
  /** Bytes of the body as it is stored, and as it is served. */
  readonly n: number;
  readonly b: number;
}

interface ResponseMeta extends ValueMeta {
  readonly s: number;
  readonly f: FieldLines;
  /** Response, freshUntil, swrUntil, sieUntil, retainUntil. */
  readonly d: readonly number[];
  readonly a: number;
  /** 1: mustRevalidate, 2: alwaysValidate. */
  readonly m: number;
  readonly o: string;
  readonly e?: string;
  readonly l?: string;
}

interface MarkerMeta extends ValueMeta {
  readonly v: readonly string[];
  /** Languages, with the Accept-Language of each; absent where none is known. */
  readonly g?: Languages;
  /** retainUntil. */
  readonly d: readonly number[];
}

type Languages = NonNullable<VaryMarker['languages']>;

/** Lengths of the body: as stored, as served. */
interface BodyLengths {
  readonly n: number;
  readonly b: number;
}

/** Later than any time that a clock says; the most that 48 bits hold. */
const maxTimeMs = 2 ** 48 - 1;

export function metaText(item: StoredItem, lengths: BodyLengths, requestTimeMs: number): string {
  const { key: k, route: r, upstream: p, url: u, tags: t } = item;
  if (item.kind === 'vary') {
    const { names: v, languages: g } = item;
    return JSON.stringify({ k, r, p, u, t, ...lengths, v, g, d: [since(item.retainUntilMs, requestTimeMs)] });
  }
  const { mustRevalidate, alwaysValidate } = item.freshness;
  return JSON.stringify({
    k,
    r,
    p,
    u,
    t,
    ...lengths,
    s: item.status,
    f: item.fields,
    d: sinceTimes(item, requestTimeMs),
    a: item.initialAgeMs,
    m: (mustRevalidate ? 1 : 0) + (alwaysValidate ? 2 : 0),
    o: item.freshness.source,
    e: item.etag,
    l: item.lastModified,
  });
}

/** Of its response, freshUntil, swrUntil, sieUntil, retainUntil. */
export function sinceTimes({ responseTimeMs, freshness }: StoredResponse, requestTimeMs: number): readonly number[] {
  const { freshUntilMs, swrUntilMs, sieUntilMs, retainUntilMs } = freshness;
  return [responseTimeMs, freshUntilMs, swrUntilMs, sieUntilMs, retainUntilMs].map((one) => since(one, requestTimeMs));
}

function since(timeMs: number, requestTimeMs: number): number {
  return Math.round(Math.min(timeMs, maxTimeMs) - requestTimeMs);
}

/**
 * Whether all texts in it are of printable ASCII, which is told faster of the whole than of each, and so it is of nearly every one. JSON
 * holds control characters as escapes alone, but for DEL. `bytes`: that the text was read of, as UTF-8.
 */
export function isPrintable(text: string, bytes: number): boolean {
  if (text.length !== bytes || text.includes('\\')) return false;
  // What is no UTF-8 is read as U+FFFD, a byte each at times.
  return !text.includes('\x7f') && !text.includes('\ufffd');
}

/** `undefined` for what no version of this writes. Never throws. */
export function parseMeta(text: string): (ValueMeta & Readonly<Record<string, unknown>>) | undefined {
  let meta: unknown;
  try {
    meta = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(meta)) return undefined;
  return isMeta(meta) ? meta : undefined;
}

function isMeta(meta: Readonly<Record<string, unknown>>): meta is ValueMeta & Readonly<Record<string, unknown>> {
  const { k, r, p, u, t, n, b } = meta;
  if (!isText(k) || !isText(r) || !isText(p) || !isText(u) || !isTexts(t) || t.length > MAX_TAGS) return false;
  return isCount(n) && isCount(b);
}

/** What a value says of its item beside the metadata. */
export interface Framing {
  readonly position: Position;
  readonly requestTimeMs: number;
  /** See {@link isPrintable}. */
  readonly printable: boolean;
}

export type BareMarker = Omit<VaryMarker, 'position'>;

/** `undefined` for what no version of this writes. */
export function responseOf(
  meta: ValueMeta & Readonly<Record<string, unknown>>,
  { position, requestTimeMs, printable }: Framing,
  body: Buffer,
): StoredResponse | undefined {
  if (!isResponseMeta(meta, printable)) return undefined;
  const [sent = 0, fresh = 0, swr = 0, sie = 0, retain = 0] = meta.d;
  // Written out, here and in `responseWith`: what is made by spreading lives in a shape of its own for each way to it.
  return {
    kind: 'response',
    key: meta.k,
    route: meta.r,
    upstream: meta.p,
    url: meta.u,
    tags: meta.t,
    position,
    status: meta.s,
    fields: meta.f,
    body,
    requestTimeMs,
    responseTimeMs: sent + requestTimeMs,
    initialAgeMs: meta.a,
    freshness: {
      freshUntilMs: fresh + requestTimeMs,
      swrUntilMs: swr + requestTimeMs,
      sieUntilMs: sie + requestTimeMs,
      retainUntilMs: retain + requestTimeMs,
      mustRevalidate: (meta.m & 1) !== 0,
      alwaysValidate: (meta.m & 2) !== 0,
      source: meta.o,
    },
    etag: meta.e,
    lastModified: meta.l,
  };
}

export function bareMarker(
  meta: ValueMeta & Readonly<Record<string, unknown>>,
  requestTimeMs: number,
): BareMarker | undefined {
  if (!isMarkerMeta(meta)) return undefined;
  const [sinceMs = 0] = meta.d;
  return {
    kind: 'vary',
    ...common(meta),
    names: meta.v,
    ...(meta.g === undefined ? {} : { languages: meta.g }),
    retainUntilMs: requestTimeMs + sinceMs,
  };
}

function common({ k, r, p, u, t }: ValueMeta): Pick<StoredItem, 'key' | 'route' | 'upstream' | 'url' | 'tags'> {
  return { key: k, route: r, upstream: p, url: u, tags: t };
}

function isResponseMeta(
  meta: Readonly<Record<string, unknown>>,
  printable: boolean,
): meta is Readonly<Record<string, unknown>> & ResponseMeta {
  const { s, f, d, a, m, o, e, l } = meta;
  if (!isStatus(s) || !isFields(f, printable) || !isTimes(d, 5) || !isAge(a) || !isCount(m)) return false;
  return isText(o) && isTextOrAbsent(e) && isTextOrAbsent(l);
}

function isAge(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isMarkerMeta(meta: Readonly<Record<string, unknown>>): meta is Readonly<Record<string, unknown>> & MarkerMeta {
  const { v, g, d } = meta;
  return isTexts(v) && isSelecting(v) && (g === undefined || isLanguages(g)) && isTimes(d, 1);
}

function isLanguages(value: unknown): value is Languages {
  if (!Array.isArray(value) || value.length > MAX_MARKER_LANGUAGES) return false;
  return value.every((pair) => isTexts(pair) && pair.length === 2 && pair.every(isRememberedLanguage));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || isText(value);
}

/** Codes past 599 mean nothing (RFC 9110 §15), and are passed on and stored as any that is not known. */
function isStatus(value: unknown): value is number {
  return isCount(value) && value >= 200 && value <= 999;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isTimes(value: unknown, count: number): value is readonly number[] {
  return Array.isArray(value) && value.length === count && value.every((one) => Number.isSafeInteger(one));
}

/** By code unit, what a field name holds here: a token in lower case (RFC 9110 §5.6.2). */
export const isNameUnit = unitsOf(/[!#$%&'*+.^_`|~0-9a-z-]/);
/** And a value (RFC 9110 §5.5). Anything else would be refused, or split the answer, when it is written to a client. */
const isValueUnit = unitsOf(/[\t\x20-\x7e\x80-\xff]/);

function unitsOf(one: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, unit) => (one.test(String.fromCharCode(unit)) ? 1 : 0));
}

/** In half the time of a pattern. */
function isMadeOf(text: string, units: Uint8Array): boolean {
  for (let at = 0; at < text.length; at += 1) if (units[text.charCodeAt(at)] !== 1) return false;
  return true;
}

/** Whether a message can have it as the value of a field. */
export function isFieldValue(text: string): boolean {
  return isMadeOf(text, isValueUnit);
}

/** `printable`: its texts are known to be of printable ASCII, which leaves no value to be looked through. */
function isFields(value: unknown, printable: boolean): value is FieldLines {
  if (!Array.isArray(value)) return false;
  for (const line of value) if (!isField(line, printable)) return false;
  return true;
}

function isField(line: unknown, printable: boolean): line is readonly [string, string] {
  if (!Array.isArray(line) || line.length !== 2) return false;
  const [name, text]: readonly unknown[] = line;
  if (!isText(name) || !isText(text) || name === '') return false;
  // Nothing is stored with a field of one connection, which would be sent to others as ours: `transfer-encoding` before content without it.
  return isMadeOf(name, isNameUnit) && !isHopByHopName(name) && (printable || isFieldValue(text));
}
