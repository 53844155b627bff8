import { at, type CachingCase, type Fields, first, reused, testCaching, twice } from '../support/caching-script.ts';

type Row = readonly [what: string, cdn: string | readonly string[], others: Fields, reusedToo: boolean];

const later: Fields = { 'Cache-Control': 'max-age=10000', Date: at(0), Expires: at(10_000) };
const never: Fields = { 'Cache-Control': 'no-store' };

const rows: readonly Row[] = [
  ['a max-age alone', 'max-age=3600', {}, true],
  ['a max-age of 2^31', 'max-age=2147483648', {}, true],
  ['a max-age far beyond 2^31', 'max-age=99999999999', {}, true],
  ['a max-age of 0', 'max-age=0', {}, false],
  ['a max-age that Age exceeds', 'max-age=3600', { Date: at(0), Age: '7200' }, false],
  ['a max-age behind a member that nobody knows', 'foobar, max-age=3600', {}, true],
  ['a max-age with a parameter', 'max-age=3600;a=1', {}, true],
  ['a max-age in the second line', ['foobar', 'max-age=3600'], {}, true],
  ['a max-age beside a past Expires', 'max-age=3600', { Date: at(0), Expires: at(-3600) }, true],
  ['a max-age beside an Expires that is no date', 'max-age=3600', { Expires: '0' }, true],
  ['a max-age of 0 beside a later Expires', 'max-age=0', { Date: at(0), Expires: at(3600) }, false],
  ['a longer max-age than that of Cache-Control', 'max-age=3600', { 'Cache-Control': 'max-age=0' }, true],
  ['a shorter max-age than that of Cache-Control', 'max-age=0', { 'Cache-Control': 'max-age=3600' }, false],
  ['a max-age beside no-store in Cache-Control', 'max-age=10000', never, true],
  ['a max-age beside private in Cache-Control', 'max-age=10000', { 'Cache-Control': 'private' }, true],
  ['private', 'private', later, false],
  ['no-cache', 'no-cache', later, false],
  ['no-store', 'no-store', later, false],
  // RFC 9651 §4.2: a field that does not parse is as if it were not there.
  ['a field that is no dictionary, which leaves no-store in force', 'max-age=10000, &&&&&', never, false],
  ['a field that is no dictionary, which leaves max-age in force', 'max-age=0, &&&&&', later, true],
  ['a max-age that is a string, which leaves no-store in force', 'max-age="10000"', never, false],
  ['a max-age that is a decimal, which leaves no-store in force', 'max-age=100.5', never, false],
  ['a negative max-age, which leaves no-store in force', 'max-age=-1', never, false],
  ['a max-age in capitals, which are no key, and leave no-store in force', 'MAX-AGE=10000', never, false],
  ['white space before the equals sign, which leaves no-store in force', 'max-age =10000', never, false],
  ['white space behind the equals sign, which leaves no-store in force', 'max-age= 10000', never, false],
  ['an empty field, which leaves max-age in force', '', later, true],
];

const cases: readonly CachingCase[] = rows.map(([what, cdn, others, reusedToo]) =>
  twice(
    `${what}: ${reusedToo ? 'used again' : 'not used again'}`,
    { 'CDN-Cache-Control': cdn, ...others },
    reusedToo ? 'store' : 'upstream',
  ),
);

testCaching({
  'CDN-Cache-Control decides alone where it is valid (RFC 9213)': [
    ...cases,
    {
      name: 'it is passed on, from upstream and from store',
      exchanges: [
        first(
          { 'CDN-Cache-Control': 'max-age=3600', 'Cache-Control': 'max-age=1' },
          { expect: { 'cdn-cache-control': 'max-age=3600' } },
        ),
        reused({ expect: { 'cdn-cache-control': 'max-age=3600', 'cache-control': 'max-age=1' } }),
      ],
    },
    {
      name: 'no-cache in it means to ask each time, and a 304 is enough',
      exchanges: [
        first({ 'CDN-Cache-Control': 'no-cache', 'Cache-Control': 'max-age=3600', ETag: '"a"' }),
        { from: 'validated', origin: { status: 304, fields: { ETag: '"a"', 'CDN-Cache-Control': 'no-cache' } } },
      ],
    },
  ],
});
