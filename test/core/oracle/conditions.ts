/**
 * A second statement of what a cache does with conditions and ranges of a request that a stored response could satisfy:
 * RFC 9111 §4.3.2, RFC 9110 §13.1.2, §13.1.3, §13.1.5, §13.2, §14. Choices (`own`): only a stored 200 is cut, into one part; a
 * Last-Modified or Date that is repeated or no date is as if it were absent, as everywhere else; entity tags that have no
 * quotes are compared in If-None-Match, since some upstreams send such, and in If-Range never.
 */
import * as fc from 'fast-check';
import { evaluatePreconditions } from '../../../src/core/preconditions.ts';
import { decideRange } from '../../../src/core/range.ts';
import { SECOND, storedOf, T0 } from '../../support/policy.ts';
import { dateNear, lineOf, noDate, of, some } from './cases.ts';
import { isPresent, type Line, linesOf, literalDate, onlyDate } from './literal-fields.ts';
import { literalEntityTag, literalNoneMatch, literalRange } from './literal-parsers.ts';
import { type Clause, type Coverage, describeMembers, differ, firstOf, type Part } from './part.ts';

/** A GET, and the stored response that is good for it. */
interface ConditionCase {
  readonly status: number;
  readonly stored: readonly Line[];
  readonly responseTimeMs: number;
  /** Bytes of the content. */
  readonly length: number;
  readonly request: readonly Line[];
}

/** What of a stored response can be compared. */
export type Compared = Pick<ConditionCase, 'status' | 'stored' | 'responseTimeMs' | 'request'>;

/** The one entity tag of a response. */
export function etagOf(fields: readonly Line[]): string | undefined {
  const [etag, ...more] = linesOf(fields, 'etag');
  return etag === '' || more.length > 0 ? undefined : etag;
}

/** The date by which the client's copy is compared; §4.3.2: "(or, if no Date field is present, the time received)". */
function modifiedMs(one: Compared): number {
  const dated = (name: string): number | undefined => onlyDate(one.stored, name, one.responseTimeMs);
  // An HTTP-date has whole seconds, and so has the time of receipt where it stands for one.
  return dated('last-modified') ?? dated('date') ?? Math.floor(one.responseTimeMs / 1000) * 1000;
}

const sinceMs = (one: Compared): number | undefined => onlyDate(one.request, 'if-modified-since', one.responseTimeMs);

/** "Earlier or equal": the condition is false (RFC 9110 §13.1.3). */
const bySince = (one: Compared): 'proceed' | 'not-modified' =>
  modifiedMs(one) <= (sinceMs(one) ?? -Infinity) ? 'not-modified' : 'proceed';

type ConditionClause = Clause<Compared> & { readonly gives: (one: Compared) => 'proceed' | 'not-modified' };

const noneMatch = (one: Compared): string => linesOf(one.request, 'if-none-match').join(', ');

/** The first that holds. */
const conditions: readonly ConditionClause[] = [
  {
    id: 'C1',
    of: 'RFC 9110 §13.2.1',
    says: 'all preconditions are ignored where the answer would not be 2xx',
    holds: ({ status }) => status < 200 || status > 299,
    gives: () => 'proceed',
  },
  {
    id: 'C2',
    of: 'RFC 9110 §13.1.2',
    says: 'If-None-Match: * is false where there is a current representation',
    holds: (one) => isPresent(one.request, 'if-none-match') && noneMatch(one) === '*',
    gives: () => 'not-modified',
  },
  {
    id: 'C3',
    of: 'RFC 9110 §13.1.2, §8.8.3.2',
    says: 'If-None-Match is false where one listed tag matches the stored one by weak comparison',
    holds: (one) => {
      const etag = etagOf(one.stored);
      return isPresent(one.request, 'if-none-match') && etag !== undefined && literalNoneMatch(noneMatch(one), etag);
    },
    gives: () => 'not-modified',
  },
  {
    id: 'C4',
    of: 'RFC 9110 §13.1.2, §13.2.2',
    says: 'else If-None-Match is true, and If-Modified-Since is not looked at',
    holds: (one) => isPresent(one.request, 'if-none-match'),
    gives: () => 'proceed',
  },
  {
    id: 'C5',
    of: 'RFC 9111 §4.3.2',
    says: 'no condition, or those alone that are for an origin server',
    holds: (one) => !isPresent(one.request, 'if-modified-since'),
    gives: () => 'proceed',
  },
  {
    id: 'C6',
    of: 'RFC 9110 §13.1.3',
    says: 'If-Modified-Since is ignored where it has more than one member or is no HTTP-date',
    holds: (one) => sinceMs(one) === undefined,
    gives: () => 'proceed',
  },
  {
    id: 'C7',
    of: 'RFC 9110 §13.1.3',
    says: 'If-Modified-Since is compared with Last-Modified',
    holds: (one) => onlyDate(one.stored, 'last-modified', one.responseTimeMs) !== undefined,
    gives: bySince,
  },
  {
    id: 'C8',
    of: 'RFC 9111 §4.3.2',
    says: 'without Last-Modified with Date',
    holds: (one) => onlyDate(one.stored, 'date', one.responseTimeMs) !== undefined,
    gives: bySince,
  },
  {
    id: 'C9',
    of: 'RFC 9111 §4.3.2',
    says: 'without either with the time of receipt',
    holds: () => true,
    gives: bySince,
  },
];

/** Whether the client gets a 304. */
export function literalConditions(one: Compared, coverage?: Coverage): 'proceed' | 'not-modified' {
  return firstOf(conditions, one, coverage).gives(one);
}

type RangeClause = Clause<ConditionCase> & { readonly gives?: 'range' };

const ifRange = (one: ConditionCase): string | undefined => linesOf(one.request, 'if-range')[0];

const ifRangeMs = (one: ConditionCase): number | undefined => literalDate(ifRange(one) ?? '', one.responseTimeMs);

/** RFC 9110 §8.8.2.2: the stored Date is at least one second after Last-Modified. */
function isStrongDate({ stored, responseTimeMs }: ConditionCase): boolean {
  const date = onlyDate(stored, 'date', responseTimeMs);
  const modified = onlyDate(stored, 'last-modified', responseTimeMs);
  return date !== undefined && modified !== undefined && date - modified >= SECOND;
}

const rangeOf = (one: ConditionCase): string => literalRange(linesOf(one.request, 'range')[0] ?? '', one.length);

/** The first that holds; where none has the range cut, the whole goes out. */
const ranges: readonly RangeClause[] = [
  { id: 'R1', of: 'RFC 9110 §14.2', says: 'no Range', holds: (one) => !isPresent(one.request, 'range') },
  {
    id: 'R2',
    of: 'own (RFC 9110 §14.2 allows to ignore it)',
    says: 'more than one line of Range',
    holds: (one) => linesOf(one.request, 'range').length > 1,
  },
  {
    id: 'R3',
    of: 'RFC 9110 §14.2, §15.3.7',
    says: 'the answer without Range would not be a 200',
    holds: ({ status }) => status !== 200,
  },
  {
    id: 'R4',
    of: 'RFC 9110 §13.1.5',
    says: 'If-Range has more than one line, or is neither an entity tag nor a date',
    holds: (one) =>
      linesOf(one.request, 'if-range').length > 1 ||
      (isPresent(one.request, 'if-range') &&
        literalEntityTag(ifRange(one) ?? '') === undefined &&
        ifRangeMs(one) === undefined),
  },
  {
    id: 'R5',
    of: 'RFC 9110 §13.1.5, §8.8.3.2',
    says: 'If-Range is an entity tag, and not the stored one by strong comparison',
    holds: (one) => {
      const tag = literalEntityTag(ifRange(one) ?? '');
      const etag = etagOf(one.stored);
      return tag !== undefined && (tag.isWeak || etag !== ifRange(one));
    },
  },
  {
    id: 'R6',
    of: 'RFC 9110 §13.1.5, §8.8.2.2',
    says: 'If-Range is a date, and the stored one is no strong validator',
    holds: (one) => ifRangeMs(one) !== undefined && !isStrongDate(one),
  },
  {
    id: 'R7',
    of: 'RFC 9110 §13.1.5',
    says: 'If-Range is a date, and not exactly the stored one',
    holds: (one) =>
      ifRangeMs(one) !== undefined && ifRangeMs(one) !== onlyDate(one.stored, 'last-modified', one.responseTimeMs),
  },
  {
    id: 'R8',
    of: 'RFC 9110 §14.1, §14.2 (one range: own)',
    says: 'another unit, several ranges, or no valid range',
    holds: (one) => rangeOf(one) === 'whole',
  },
  {
    id: 'R9',
    of: 'RFC 9110 §15.5.17',
    says: 'nothing of the content is in the range',
    holds: (one) => rangeOf(one) === 'unsatisfiable',
    gives: 'range',
  },
  { id: 'R10', of: 'RFC 9110 §14.1.2', says: 'the part that the range names', holds: () => true, gives: 'range' },
];

const tag = of('"a"', '"a"', 'W/"a"', '"b"', 'W/"b"', 'bare', '"x, a"', '"a', 'w/"a"', '*', '"*"', '""', '');

/** Several on a line, on two lines. */
const noneMatchLines = fc
  .tuple(
    fc.array(tag, { minLength: 1, maxLength: 3 }),
    of(', ', ',', ' , ,'),
    fc.array(tag, { maxLength: 1 }),
    of(true, false, false),
  )
  .map(([tags, joint, second, alone]): readonly Line[] =>
    [alone ? (tags[0] ?? '') : tags.join(joint), ...second].map((value) => ['if-none-match', value.trim()]),
  );

const near = [0, -1, 1, -10, -100, -3600, 60] as const;
const dates = fc.oneof({ weight: 8, arbitrary: dateNear(...near) }, { weight: 1, arbitrary: noDate });

const lineAt = (name: string, percent: number) =>
  fc.tuple(some(percent, dates), some(3, dates)).map(([one, other]) => (atMs: number): readonly Line[] => {
    const values = one === undefined ? [] : [one, other].filter((value) => value !== undefined);
    return values.map((value) => [name, value(atMs)]);
  });

const rangeLines = some(
  75,
  fc.tuple(
    of(
      'bytes=0-9',
      'bytes=5-',
      'bytes=-5',
      'BYTES=0-0',
      'bytes=99-100',
      'bytes=100-',
      'bytes=0-',
      'bytes=-0',
      'bytes=9-5',
      'bytes=-',
      'bytes=0-1,3-4',
      'items=0-9',
      'bytes= 0-9 ',
      'bytes=a-',
      '',
    ),
    some(4, of('bytes=0-9')),
  ),
).map((values): readonly Line[] => (values ?? []).flatMap((value) => lineOf('range', value)));

const ifRangeLines = fc
  .tuple(
    some(
      45,
      fc.oneof(
        tag.map((value) => () => value),
        dates,
      ),
    ),
    some(4, tag),
  )
  .map(
    ([value, again]) =>
      (atMs: number): readonly Line[] =>
        value === undefined ? [] : [['if-range', value(atMs)], ...lineOf('if-range', again)],
  );

const conditionCases: fc.Arbitrary<ConditionCase> = fc
  .tuple(
    fc.record({
      status: of(200, 200, 200, 200, 200, 203, 204, 301, 404, 500),
      responseTimeMs: of(0, 1, 500, 999).map((more) => T0 + more),
      length: of(0, 1, 10, 100, 100),
    }),
    fc.tuple(some(70, tag), some(3, tag)),
    fc.tuple(lineAt('last-modified', 60), lineAt('date', 80)),
    some(50, noneMatchLines),
    fc.tuple(lineAt('if-modified-since', 60), ifRangeLines),
    fc.tuple(
      rangeLines,
      some(5, of<Line>(['if-match', '"b"'], ['if-unmodified-since', 'Sun, 22 Nov 2026 12:00:00 GMT'])),
    ),
  )
  .map(([about, etags, [modified, date], none = [], [since, partOf], [range, origins]]) => ({
    ...about,
    stored: [
      ...etags.flatMap((etag) => lineOf('etag', etag)),
      ...modified(about.responseTimeMs),
      ...date(about.responseTimeMs),
    ],
    request: [
      ...none,
      ...since(about.responseTimeMs),
      ...range,
      ...partOf(about.responseTimeMs),
      ...(origins === undefined ? [] : [origins]),
    ],
  }));

/** The functions that {@link conditionsPart} holds against the rules. */
export interface ConditionPolicy {
  readonly evaluatePreconditions: typeof evaluatePreconditions;
  readonly decideRange: typeof decideRange;
}

function difference(one: ConditionCase, policy: ConditionPolicy, coverage?: Coverage): string | undefined {
  const stored = storedOf({
    status: one.status,
    fields: one.stored,
    responseTimeMs: one.responseTimeMs,
    etag: etagOf(one.stored),
    lastModified:
      onlyDate(one.stored, 'last-modified', one.responseTimeMs) === undefined
        ? undefined
        : linesOf(one.stored, 'last-modified')[0],
  });
  const range = policy.decideRange(one.request, stored, one.length);
  const part = firstOf(ranges, one, coverage);
  return (
    differ('condition', policy.evaluatePreconditions(one.request, stored), literalConditions(one, coverage)) ??
    differ(
      'range',
      range.kind === 'partial' ? `${range.start}-${range.end}` : range.kind,
      part.gives === 'range' ? rangeOf(one) : 'whole',
    )
  );
}

export const conditionsPart: Part<ConditionCase, ConditionPolicy> = {
  name: 'conditions and ranges of a request (RFC 9111 §4.3.2, RFC 9110 §13, §14)',
  clauses: [...conditions, ...ranges],
  cases: conditionCases,
  policy: { evaluatePreconditions, decideRange },
  difference,
  describe: describeMembers,
};
