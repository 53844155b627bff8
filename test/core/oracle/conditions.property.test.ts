import type { FieldLines } from '../../../src/core/fields.ts';
import { type ConditionPolicy, conditionsPart } from './conditions.ts';
import { agrees, findsOut } from './property.ts';

const { policy } = conditionsPart;

/** The policy with another request and another stored response put before it. */
function reading(change: {
  readonly request?: Change;
  readonly stored?: Change;
  readonly status?: number;
}): ConditionPolicy {
  const { request = same, stored = same, status } = change;
  const changed = <S extends { readonly fields: FieldLines; readonly status: number }>(one: S): S => ({
    ...one,
    fields: stored(one.fields),
    status: status ?? one.status,
  });
  return {
    evaluatePreconditions: (fields, one) => policy.evaluatePreconditions(request(fields), changed(one)),
    decideRange: (fields, one, length) => policy.decideRange(request(fields), changed(one), length),
  };
}

type Change = (fields: FieldLines) => FieldLines;

const same: Change = (fields) => fields;

const without =
  (...names: readonly string[]): Change =>
  (fields) =>
    fields.filter(([name]) => !names.includes(name));

const valuesChanged =
  (name: string, change: (value: string) => string): Change =>
  (fields) =>
    fields.map((line) => (line[0] === name ? [name, change(line[1])] : line));

agrees(conditionsPart);

findsOut(conditionsPart, {
  'lets If-Modified-Since count beside If-None-Match': {
    ...policy,
    evaluatePreconditions: (fields, stored) =>
      fields.some(([name]) => name === 'if-modified-since')
        ? policy.evaluatePreconditions(without('if-none-match')(fields), stored)
        : policy.evaluatePreconditions(fields, stored),
  },
  'compares entity tags of If-None-Match strongly': {
    ...policy,
    evaluatePreconditions: (fields, stored) =>
      policy.evaluatePreconditions(fields, {
        ...stored,
        etag: stored.etag?.startsWith('W/') === true ? undefined : stored.etag,
      }),
  },
  'reads one tag of a list': reading({ request: valuesChanged('if-none-match', (value) => value.split(',')[0] ?? '') }),
  'does not know *': reading({ request: valuesChanged('if-none-match', (value) => (value === '*' ? '"*"' : value)) }),
  'answers conditions where the stored one is an error': reading({ status: 200 }),
  'cuts a stored 203': {
    ...policy,
    decideRange: (fields, stored, length) =>
      policy.decideRange(fields, stored.status === 203 ? { ...stored, status: 200 } : stored, length),
  },
  'does not compare with Last-Modified': {
    ...policy,
    evaluatePreconditions: (fields, stored) =>
      policy.evaluatePreconditions(fields, { ...stored, lastModified: undefined }),
  },
  'does not compare with Date': reading({ stored: without('date') }),
  'compares with the millisecond of receipt': {
    ...policy,
    evaluatePreconditions: (fields, stored) =>
      policy.evaluatePreconditions(fields, { ...stored, responseTimeMs: stored.responseTimeMs + 1 }),
  },
  'does not know If-Range': reading({ request: without('if-range') }),
  'compares If-Range weakly': reading({
    request: valuesChanged('if-range', (value) => value.replace(/^W\//, '')),
    stored: valuesChanged('etag', (value) => value.replace(/^W\//, '')),
  }),
  'takes any date of Last-Modified for a strong one': reading({
    stored: valuesChanged('date', () => 'Fri, 31 Dec 2027 12:00:00 GMT'),
  }),
  'takes the last byte of a range for the first one behind it': {
    ...policy,
    decideRange: (fields, stored, length) => {
      const range = policy.decideRange(fields, stored, length);
      return range.kind === 'partial' ? { ...range, end: Math.max(range.start, range.end - 1) } : range;
    },
  },
});
