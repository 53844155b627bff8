import { fieldLineValues, type FieldLines } from './fields.ts';

/** A parsed `traceparent` (W3C Trace Context §3.2). */
export interface TraceParent {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zero. */
  readonly parentId: string;
  /** Bit 0 of the flags: the caller may have recorded its part. */
  readonly sampled: boolean;
}

// Later versions may append `-more`; the four known fields keep their place (W3C Trace Context §3.2.4).
const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Parses one field value; `undefined` where it is not exactly what the specification allows. Never throws. */
export function parseTraceparent(value: string): TraceParent | undefined {
  // A bound of our own: no version is longer, and a pattern need not walk through more than that.
  if (value.length > 512) return undefined;
  const [, version, traceId, parentId, flags, rest] = form.exec(value) ?? [];
  if (version === undefined || traceId === undefined || parentId === undefined || flags === undefined) return undefined;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return undefined;
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The trace id of a request; `undefined` without exactly one valid `traceparent` line. */
export function traceIdOf(fields: FieldLines): string | undefined {
  const [value, ...more] = fieldLineValues(fields, 'traceparent');
  if (value === undefined || more.length > 0) return undefined;
  return parseTraceparent(value)?.traceId;
}
