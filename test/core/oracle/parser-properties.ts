import * as fc from 'fast-check';
import { parseCacheControl, parseDeltaSeconds, seconds } from '../../../src/core/cache-control.ts';
import { canonicalForm } from '../../../src/core/form-text.ts';
import { initialAgeMs } from '../../../src/core/freshness.ts';
import { formatHttpDate, parseHttpDate } from '../../../src/core/http-date.ts';
import { canonicalJson, maxJsonDepth } from '../../../src/core/json-text.ts';
import { formatMediaType, parseMediaType } from '../../../src/core/media-type.ts';
import { type SearchRule, searchRule, searchThatCounts } from '../../../src/core/no-vary-search.ts';
import { evaluatePreconditions } from '../../../src/core/preconditions.ts';
import { decideRange } from '../../../src/core/range.ts';
import { MAX_STRUCTURED_FIELD, readDictionary, readItem, readList } from '../../../src/core/structured-field.ts';
import { groupTag, groupTags } from '../../../src/core/upstream-tags.ts';
import { varyNames } from '../../../src/core/vary.ts';
import { varyValue } from '../../../src/core/vary-values.ts';
import { storedOf, T0 } from '../../support/policy.ts';
import { spellDate } from './cases.ts';
import { literalCacheControl, literalDate, literalDeltaSeconds, literalList } from './literal-fields.ts';
import { literalNoneMatch, literalRange, literalSearchRule, literalVary } from './literal-parsers.ts';
import { literalDictionary, literalItem, literalStructuredList } from './literal-structured.ts';

/** One parser: what it is fed, and what has to hold. A check that fails says how. */
export interface ParserProperty {
  readonly name: string;
  /** Reads one text; its time must grow with the length of the text, and it must not throw. */
  readonly read: (text: string) => unknown;
  /** Characters of the longest text that is looked into; absent: any. */
  readonly longest?: number;
  readonly texts: fc.Arbitrary<string>;
  /** Throws where the parser is not right about the text. */
  readonly check: (text: string) => void;
}

/** Texts of pieces that matter to a grammar, with a few characters of any kind put in or taken out. */
function texts(...pieces: readonly string[]): fc.Arbitrary<string> {
  const built = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => parts.join(''));
  const any = fc.oneof(fc.string({ maxLength: 2 }), fc.string({ unit: 'binary', maxLength: 2 }), fc.constant(''));
  const spoilt = fc.tuple(built, fc.nat(60), fc.nat(2), any).map(([text, at, gone, put]) => {
    const start = Math.min(at, text.length);
    return text.slice(0, start) + put + text.slice(start + gone);
  });
  return fc.oneof(
    { weight: 6, arbitrary: built },
    { weight: 3, arbitrary: spoilt },
    { weight: 1, arbitrary: fc.string() },
  );
}

/** Targets are printable ASCII by the time that their query is read. */
const queryTexts = (...pieces: readonly string[]): fc.Arbitrary<string> =>
  texts(...pieces).map((text) => text.replaceAll(/[^ -~]/g, ''));

/** Contents and field values come as bytes, one character for each. */
const byteTexts = (...pieces: readonly string[]): fc.Arbitrary<string> =>
  texts(...pieces).map((text) => Buffer.from(text, 'utf8').toString('latin1'));

/** Dates well spelt for the most part, some with one character put in, taken out or changed. */
const dateTexts = fc
  .tuple(
    fc.integer({ min: -62_167_219_200, max: 253_402_300_799 }),
    fc.constantFrom('imf', 'rfc850', 'asctime', 'lower', 'odd'),
    fc.nat(40),
    fc.constantFrom(0, 0, 0, 1),
    fc.constantFrom('', '', '', ' ', '0', '3', '9', ':', ',', '-', 'a', 'T', 'é'),
  )
  .map(([second, form, at, gone, put]) => {
    const text = spellDate(second * 1000, form);
    return text.slice(0, at) + put + text.slice(at + gone);
  });

function same(what: string, is: unknown, should: unknown): void {
  const [one, other] = [JSON.stringify(is), JSON.stringify(should)];
  if (one !== other) throw new Error(`${what}: ${one} instead of ${other}`);
}

const entries = <T>(map: ReadonlyMap<string, T> | undefined): unknown => map && [...map];

const structuredPieces = [
  [
    'a',
    'b*',
    'max-age',
    '=',
    '=',
    ',',
    ', ',
    ' ',
    '\t',
    ';',
    '; ',
    '(',
    ')',
    '"',
    '"a, b"',
    '"\\""',
    '\\',
    '?0',
    '?1',
    '?',
  ],
  ['1', '-', '0', '60', '60.0', '1.5', '1.', '.', '999999999999999', '9999999999999999', '999999999999.9'],
  ['tok', 'Tok/a:b', '*', ':YWJj:', ':', ':YQ==:', '@1', '@', '@1.5', '%"a"', '%"%c3%a9"', '%"%C3"', '%"', 'é', '_'],
].flat();

const cacheControlTexts = texts(
  ...[
    [
      'max-age',
      's-maxage',
      'Private',
      'no-store',
      'x',
      '=',
      '=',
      ',',
      ', ',
      ' ',
      '\t',
      '"',
      '"',
      '\\',
      '\\"',
      '60',
      '-1',
    ],
    ['"a, b"', '"60"', '00', '99999999999', '1.5', ';', "'"],
  ].flat(),
);

function lengthOfRange(text: string, length: number): string {
  const stored = { ...storedOf(), fields: [] };
  const decision = decideRange([['range', text]], stored, length);
  return decision.kind === 'partial' ? `${decision.start}-${decision.end}` : decision.kind;
}

function inWords(rule: SearchRule | undefined): string | undefined {
  if (rule === undefined) return undefined;
  const names = [...rule.params.names].toSorted().join(' ');
  const counts = rule.params.kind === 'kept' ? `only ${names}` : names === '' ? 'all count' : `all but ${names}`;
  return `${counts}; order ${rule.anyOrder ? 'means nothing' : 'counts'}`;
}

/** What the platform has for the pairs of a form, sorted by name; it gives U+FFFD for what is no UTF-8. */
function platformPairs(text: string): unknown {
  const pairs = [...new URLSearchParams(`?${text}`)].toSorted(([one], [other]) =>
    one < other ? -1 : one > other ? 1 : 0,
  );
  return pairs;
}

const isUtf8 = (text: string): boolean => {
  try {
    decodeURIComponent(text.replaceAll('+', ' '));
    return true;
  } catch (error) {
    if (error instanceof URIError) return false;
    throw error;
  }
};

function jsonOf(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export const parserProperties: readonly ParserProperty[] = [
  {
    name: 'structured fields (RFC 9651)',
    read: (text) => [readDictionary([text]), readList([text]), readItem([text])],
    longest: MAX_STRUCTURED_FIELD,
    texts: byteTexts(...structuredPieces),
    check: (text) => {
      same('dictionary', entries(readDictionary([text])), entries(literalDictionary([text])));
      same('list', readList([text]), literalStructuredList([text]));
      same('item', readItem([text]), literalItem([text]));
      same('two lines', readList([text, text]), literalStructuredList([text, text]));
    },
  },
  {
    name: 'dates (RFC 9110 §5.6.7)',
    read: (text) => parseHttpDate(text, T0),
    texts: fc.oneof(
      dateTexts,
      texts('Sun', 'Sunday', ', ', '06', '-', 'Nov', '94', '1994', ' ', '08:49:37', 'GMT', '6'),
    ),
    check: (text) => {
      const ms = parseHttpDate(text, T0);
      same('date', ms, literalDate(text, T0));
      // The form that is sent can be read, and says the same.
      if (ms !== undefined) same('as it is sent', parseHttpDate(formatHttpDate(ms), T0), ms);
    },
  },
  {
    name: 'Cache-Control (RFC 9111 §5.2)',
    read: (text) => parseCacheControl([text]),
    texts: cacheControlTexts,
    check: (text) => {
      for (const lines of [[text], [text, text], ['public', text]]) {
        const literal = new Map<string, string | true>();
        for (const { name, argument } of literalCacheControl(lines)) {
          if (!literal.has(name)) literal.set(name, argument ?? true);
        }
        const parsed = parseCacheControl(lines);
        same('directives', entries(parsed), entries(literal));
        const age = literal.get('max-age');
        const wanted =
          age === undefined ? undefined : ((age === true ? undefined : literalDeltaSeconds(age)) ?? 'invalid');
        same('max-age', seconds(parsed, 'max-age'), wanted);
      }
    },
  },
  {
    name: 'delta-seconds and Age (RFC 9111 §1.2.2, §5.1)',
    read: (text) => [
      parseDeltaSeconds(text),
      initialAgeMs({ fields: [['age', text]], requestTimeMs: T0, responseTimeMs: T0 }),
    ],
    texts: texts(
      '0',
      '1',
      '7',
      '2147483648',
      '99999999999999999999',
      ',',
      ', ',
      ' ',
      '-',
      '+',
      '.',
      'e',
      '"',
      '\\',
      '１',
      '\n',
    ),
    check: (text) => {
      same('delta-seconds', parseDeltaSeconds(text), literalDeltaSeconds(text));
      const age = initialAgeMs({
        fields: [
          ['age', text],
          ['age', '5'],
        ],
        requestTimeMs: T0,
        responseTimeMs: T0,
      });
      same('age', age, (literalDeltaSeconds(literalList(text)[0] ?? '') ?? 0) * 1000);
    },
  },
  {
    name: 'Vary (RFC 9110 §12.5.5)',
    read: (text) => varyNames([['vary', text]]),
    texts: texts('Accept', 'accept', 'Origin', '*', '"*"', ',', ', ', ' ', '\t', '"', '\\', 'x', ',,'),
    check: (text) => {
      same('names', varyNames([['vary', text]]), literalVary([text]));
      same(
        'on two lines',
        varyNames([
          ['vary', 'b'],
          ['vary', text],
        ]),
        literalVary(['b', text]),
      );
    },
  },
  {
    name: 'Accept-Language and Accept-Encoding for comparison (RFC 9111 §4.1)',
    read: (text) => [
      varyValue('accept-language', [text]),
      varyValue('accept-encoding', [text]),
      varyValue('x', [text]),
    ],
    texts: texts(
      'de',
      'DE-at',
      'en',
      'gzip',
      'x-gzip',
      'identity',
      '*',
      ';q=',
      ';Q=',
      '0',
      '1',
      '.5',
      '0.50',
      '1.000',
      ',',
      ', ',
      ' ',
      ';',
      '"',
    ),
    check: (text) => {
      for (const name of ['accept-language', 'accept-encoding', 'accept', 'x-other']) {
        const once = varyValue(name, [text]);
        same(`${name}, spelt canonically`, varyValue(name, [once]), once);
        // White space about commas, empty members and the number of lines mean nothing.
        if (!text.includes('"'))
          same(`${name} with white space`, varyValue(name, [` ${text.replaceAll(',', ' ,\t')}`]), once);
      }
    },
  },
  {
    name: 'Range (RFC 9110 §14)',
    read: (text) => lengthOfRange(text, 100),
    texts: texts(
      'bytes',
      'Bytes',
      'seconds',
      '=',
      '=',
      '-',
      '-',
      '0',
      '5',
      '99',
      '100',
      '99999999999999999999',
      ',',
      ' ',
      '\t',
      'a',
      '+',
    ),
    check: (text) => {
      for (const length of [0, 1, 100])
        same(`of ${length} bytes`, lengthOfRange(text, length), literalRange(text, length));
    },
  },
  {
    name: 'If-None-Match (RFC 9110 §13.1.2)',
    read: (text) => evaluatePreconditions([['if-none-match', text]], storedOf({ etag: '"a"' })),
    texts: texts('"a"', 'W/"a"', '"b"', '"', 'W/', 'a', '*', ',', ', ', ' ', '\\', '""', '"a,b"', 'w/"a"', '\t'),
    check: (text) => {
      for (const etag of ['"a"', 'W/"a"', '"a,b"', 'a', '""', String.raw`"\"`]) {
        const is = evaluatePreconditions([['if-none-match', text]], storedOf({ etag }));
        same(`against ${etag}`, is === 'not-modified', literalNoneMatch(text, etag));
      }
    },
  },
  {
    name: 'No-Vary-Search',
    read: (text) => {
      const rule =
        searchRule([['no-vary-search', text]]) ?? searchRule([['no-vary-search', 'params=?1, except=("a")']]);
      return rule && searchThatCounts(rule, text);
    },
    longest: MAX_STRUCTURED_FIELD,
    texts: texts(
      'key-order',
      'params',
      'except',
      '=',
      '=?1',
      '=?0',
      '=("a")',
      '=("a" "b")',
      '=(a)',
      '=()',
      '="a"',
      ', ',
      ', ',
      ',',
      ';x',
      'other',
      ' ',
    ),
    check: (text) => {
      same('rule', inWords(searchRule([['no-vary-search', text]])), literalSearchRule([['no-vary-search', text]]));
    },
  },
  {
    name: 'queries by a learned rule',
    read: (text) => canonicalForm(text),
    texts: queryTexts('a', 'b', 'c', '=', '=', '&', '&', '%61', '%2', '%zz', '%C3%A9', '%ff', '+', '1', ';', '?'),
    check: (text) => {
      for (const says of [
        'key-order',
        'params=("a")',
        'params, except=("a" "b")',
        'key-order, params=("c" "%C3%A9")',
      ]) {
        const rule = searchRule([['no-vary-search', says]]);
        if (rule === undefined) throw new Error(`${says} is no rule`);
        const once = searchThatCounts(rule, text);
        same(`${says}, what counts of what counts`, searchThatCounts(rule, once), once);
        if (/%(?![0-9A-Fa-f]{2})/.test(text)) continue;
        const more = searchThatCounts(rule, text === '' ? 'a' : `${text}&a`);
        if (says.includes('("a")')) same(`${says}, with a parameter more that does not count`, more, once);
      }
    },
  },
  {
    name: 'Cache-Groups (RFC 9875)',
    read: (text) => groupTags([['cache-groups', text]], 'cache-groups', 'https://one.example'),
    longest: MAX_STRUCTURED_FIELD,
    texts: texts('"a"', '"b c"', '"a,b"', '"', ',', ', ', ' ', ';x=1', 'a', '("a")', '\\', '"\\""', '%', 'é'),
    check: (text) => {
      const origin = 'https://one.example';
      const members = literalStructuredList([text]) ?? [];
      const groups = members.flatMap((member) => (member.type === 'string' ? [member.value] : []));
      const named = groups.length === members.length ? groups : [];
      const { tags } = groupTags([['cache-groups', text]], 'cache-groups', origin);
      same(
        'tags',
        tags,
        named.map((group) => groupTag(origin, group)),
      );
      if (new Set(tags).size !== new Set(named).size) throw new Error('two groups have one tag');
      if (tags.some((tag) => !/^[!-+\--~]+$/.test(tag))) throw new Error('a tag that commands could not name');
    },
  },
  {
    name: 'JSON (RFC 8259)',
    read: (text) => canonicalJson(text),
    texts: texts(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '"b"',
      '"\\u00e9"',
      '"\\ud800"',
      '"',
      '\\',
      '1',
      '-',
      '0',
      '.5',
      'e',
      '1e400',
      '1.0',
      'true',
      'null',
      ' ',
      '\n',
      '\u{1f600}',
      '\u0001',
    ),
    check: (text) => {
      const canonical = canonicalJson(text);
      const platform = jsonOf(text);
      if (!canonical.ok) {
        const isTwice = canonical.error.includes('twice') || canonical.error.includes('exponent');
        const isDeep = canonical.error.includes(String(maxJsonDepth));
        if (platform !== undefined && !isTwice && !isDeep) throw new Error(`refused: ${canonical.error}`);
        return;
      }
      if (platform === undefined) throw new Error(`taken for JSON: ${canonical.value.text}`);
      const again = canonicalJson(canonical.value.text);
      same('canonical spelling of the canonical spelling', again.ok && again.value.text, canonical.value.text);
      // Through the platform, which keeps strings and structure but rounds numbers.
      same('what the platform reads', sorted(JSON.parse(canonical.value.text)), sorted(platform.value));
    },
  },
  {
    name: 'forms (application/x-www-form-urlencoded)',
    read: (text) => canonicalForm(text),
    texts: byteTexts('a', 'b', '=', '=', '&', '&', '%61', '%2', '%zz', '%C3%A9', '%ff', '+', '1', ';', '%26', '%3D'),
    check: (text) => {
      const canonical = canonicalForm(text);
      if (canonical.ok === /%(?![0-9A-Fa-f]{2})/.test(text))
        throw new Error('a broken escape has to be refused, and that alone');
      if (!canonical.ok) return;
      const again = canonicalForm(canonical.value);
      same('canonical spelling of the canonical spelling', again.ok && again.value, canonical.value);
      // One character stands for one byte here, so that only of ASCII the platform reads the same.
      if (isUtf8(text) && /^[\0-\x7f]*$/.test(text)) same('pairs', platformPairs(canonical.value), platformPairs(text));
    },
  },
  {
    name: 'media types (RFC 9110 §8.3.1)',
    read: (text) => parseMediaType(text),
    texts: texts(
      'application/json',
      'TEXT',
      '/',
      'plain',
      ';',
      '; ',
      'charset=',
      'UTF-8',
      '"utf-8"',
      'a',
      '=',
      '"',
      '\\',
      '"a;b"',
      ' ',
    ),
    check: (text) => {
      const type = parseMediaType(text);
      if (type === undefined) return;
      const spelt = formatMediaType(type);
      const again = parseMediaType(spelt);
      same('the one spelling', again && [again.essence, entries(again.parameters)], [
        type.essence,
        entries(type.parameters),
      ]);
      same('spelt again', again && formatMediaType(again), spelt);
    },
  },
];

/** Members by name, at any depth. JSON.stringify would make a `0` of `-0`. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : value;
  return Object.entries(value)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}

/** Repeated, they are the worst that there is for one or other of the parsers. */
export const unkindPieces: readonly string[] = [
  [
    '"',
    '\\',
    '\\"',
    '"\\',
    '"a',
    '"a" ',
    '"a",',
    ',',
    ', ',
    ' ',
    '\t',
    'a',
    'a=',
    '=',
    'a=1, ',
    'a=1&',
    '&',
    '=&',
    '%',
  ],
  [
    '%4',
    '%41',
    '%"',
    '%"a" ',
    ':',
    ':a',
    '*',
    '-',
    '0',
    '1',
    '1.0, ',
    '1.',
    '(',
    '("a" ',
    ')',
    ';',
    ';a',
    ';a="',
    'W/',
    'W/"',
    '?1',
  ],
  ['[', '[1,', '{"a":', '"\\u00', '1e', '+', 'é', '\u{1f600}', '\0', 'de;q=0.1,', 'Sun, ', 'bytes=0-'],
].flat();

/** Characters that a field of the worst kind has here. Headers are bounded to far less. */
export const UNKIND_CHARACTERS = 8 * MAX_STRUCTURED_FIELD;
