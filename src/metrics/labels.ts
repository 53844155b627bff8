import type { PurgeRecord, UpstreamCallRecord } from '../cache/ports.ts';
import type { FailureKind } from '../core/failure.ts';
import type { Fwd, OutcomeName, Tier } from '../core/outcome.ts';

// Every label value is one of these words or a name from the configuration, so that no client can make series grow.
// Each table gives a word its place in an array of numbers; as records they are complete, or they do not compile.

export const outcomeIndex: Readonly<Record<OutcomeName, number>> = {
  hit: 0,
  stale: 1,
  'stale-error': 2,
  revalidated: 3,
  miss: 4,
  collapsed: 5,
  relayed: 6,
  rejected: 7,
  error: 8,
  aborted: 9,
};
export const outcomeNames: readonly OutcomeName[] = [
  'hit',
  'stale',
  'stale-error',
  'revalidated',
  'miss',
  'collapsed',
  'relayed',
  'rejected',
  'error',
  'aborted',
];

export const tierIndex: Readonly<Record<Tier | 'none', number>> = { memory: 0, redis: 1, none: 2 };
export const tierNames = Object.keys(tierIndex);

export const fwdIndex: Readonly<Record<Fwd | 'none', number>> = {
  'uri-miss': 0,
  'vary-miss': 1,
  miss: 2,
  request: 3,
  stale: 4,
  partial: 5,
  bypass: 6,
  method: 7,
  none: 8,
};
export const fwdNames = Object.keys(fwdIndex);

export const purposeIndex: Readonly<Record<UpstreamCallRecord['purpose'], number>> = {
  interactive: 0,
  revalidate: 1,
  warm: 2,
};
export const purposeNames = Object.keys(purposeIndex);

/** `none`: the client went before a status was sent. `other`: of no class, 600 and above. */
export const statusClassNames = ['none', '1xx', '2xx', '3xx', '4xx', '5xx', 'other'] as const;
const otherClass = 6;

/** Place of a status code in {@link statusClassNames}. */
export function statusClassOf(status: number): number {
  return status < 100 ? 0 : Math.min(Math.floor(status / 100), otherClass);
}

const failureIndex: Readonly<Record<FailureKind, number>> = {
  dns: 7,
  connect: 8,
  tls: 9,
  reset: 10,
  timeout: 11,
  malformed: 12,
  truncated: 13,
  'too-large': 14,
  aborted: 15,
  busy: 16,
};
/** Place of a call that was reset, and sent again, in {@link callResultNames}. */
export const resetResult = failureIndex.reset;

/** Results of an upstream call: a status class, or the kind of failure. */
export const callResultNames: readonly string[] = [...statusClassNames, ...Object.keys(failureIndex)];

/** Place of a call's result in {@link callResultNames}. */
export function callResultOf(call: Pick<UpstreamCallRecord, 'status' | 'failure'>): number {
  return call.failure === undefined ? statusClassOf(call.status ?? 0) : failureIndex[call.failure];
}

const otherMethod = 9;
const methodIndex: ReadonlyMap<string, number> = new Map(
  ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY'].map((name, index) => [name, index]),
);
export const methodNames: readonly string[] = [...methodIndex.keys(), 'other'];

/** Place of a method in {@link methodNames}; methods of no standard share one. */
export function methodOf(method: string): number {
  return methodIndex.get(method) ?? otherMethod;
}

export const purgeByNames = ['key', 'url', 'route', 'prefix', 'tags', 'all'] as const satisfies PurgeRecord['by'][];
