import {
  ageFrom,
  at,
  type CachingCase,
  type Fields,
  first,
  pastOneSecondMs,
  reused,
  askedAgain,
  testCaching,
  twice,
} from '../support/caching-script.ts';

/** Each is used again, or not: `fresh` and `stale` as RFC 9111 §4.2 tells them apart. */
function table(of: string, rows: readonly (readonly [what: string, fields: Fields, fresh: boolean])[]): CachingCase[] {
  return rows.map(([what, fields, fresh]) =>
    twice(`${of}: ${what} is ${fresh ? 'fresh' : 'not fresh'}`, fields, fresh ? 'store' : 'upstream'),
  );
}

const control = (value: string | readonly string[]): Fields => ({ 'Cache-Control': value });
const expires = (value: string): Fields => ({ Date: at(0), Expires: value });
const aged = (value: string | readonly string[]): Fields => ({
  'Cache-Control': 'max-age=3600',
  Date: at(0),
  Age: value,
});

testCaching({
  'freshness lifetimes (RFC 9111 §4.2.1)': [
    ...table('lifetime', [
      ['nothing said', {}, false],
      ['max-age=3600', control('max-age=3600'), true],
      ['max-age=0', control('max-age=0'), false],
      ['max-age=0 beside a later Expires', { ...control('max-age=0'), Date: at(0), Expires: at(3600) }, false],
      ['max-age beside a past Expires', { ...control('max-age=3600'), Date: at(0), Expires: at(-7200) }, true],
      ['max-age beside an Expires that is no date', { ...control('max-age=3600'), Date: at(0), Expires: '0' }, true],
      ['s-maxage alone', control('s-maxage=3600'), true],
      ['a shorter s-maxage behind max-age', control('max-age=3600, s-maxage=0'), false],
      ['a shorter s-maxage before max-age', control('s-maxage=0, max-age=3600'), false],
      ['a shorter s-maxage in a line of its own', control(['max-age=3600', 's-maxage=0']), false],
      ['a longer s-maxage', control('max-age=0, s-maxage=3600'), true],
      [
        'a longer s-maxage beside a past Expires',
        { ...control('max-age=0, s-maxage=3600'), Date: at(0), Expires: at(-10) },
        true,
      ],
      ['Expires after Date', { Date: at(0), Expires: at(2_592_000) }, true],
      ['Expires before Date', { Date: at(0), Expires: at(-2_592_000) }, false],
      ['Expires equal to Date', { Date: at(0), Expires: at(0) }, false],
      ['Expires to come, and before a Date still later', { Date: at(400), Expires: at(300) }, false],
      ['Expires without a Date', { Expires: at(3600) }, true],
      ['Expires beside a Date that is none', { Date: 'foo', Expires: at(3600) }, true],
      ['max-age less a greater Age', { ...control('max-age=3600'), Date: at(0), Age: '7200' }, false],
      ['max-age less a smaller Age', { ...control('max-age=3600'), Date: at(0), Age: '1800' }, true],
      ['max-age less the time since Date', { ...control('max-age=3600'), Date: at(-7200) }, false],
      ['Expires with an Age beyond it, by a slow clock', { Date: at(-10), Expires: at(10), Age: '25' }, false],
      ['Expires with an Age beyond it, by a fast clock', { Date: at(10), Expires: at(20), Age: '15' }, false],
    ]),
    {
      name: 'max-age=1 is not fresh after its second',
      exchanges: [
        first({ 'Cache-Control': 'max-age=1' }),
        askedAgain({ waitMs: pastOneSecondMs, cacheStatus: /^forecache; fwd=(stale|miss|uri-miss)/ }),
      ],
    },
    {
      name: 'the delay of the answer counts as age',
      exchanges: [
        // An Age of 59 is 60 where the answer took more than a second (RFC 9111 §4.2.3).
        first({ 'Cache-Control': 'max-age=60', Age: '59' }, { answer: { delayMs: pastOneSecondMs } }),
        askedAgain(),
      ],
    },
    {
      name: 'Age of an answer from store is its current age; Date and Expires stay as they came',
      exchanges: [
        first({ Date: at(-100), Expires: at(3600), Age: '30' }),
        reused({ expect: { age: ageFrom(100), date: at(-100), expires: at(3600) }, cacheStatus: /; ttl=3[45]\d\d;/ }),
      ],
    },
    {
      name: 'Age grows while the answer is stored',
      exchanges: [
        first({ 'Cache-Control': 'max-age=3600', Age: '30' }),
        reused({ waitMs: pastOneSecondMs, expect: { age: ageFrom(31) } }),
      ],
    },
    {
      name: 'an answer without Date is used again, with an Age',
      exchanges: [first(control('max-age=3600')), reused({ expect: { age: ageFrom(0) } })],
    },
  ],
  'Cache-Control is read strictly (RFC 9111 §1.2.2, §5.2)': table('Cache-Control', [
    ['max-age of 2^31 - 1', control('max-age=2147483647'), true],
    ['max-age of 2^31', control('max-age=2147483648'), true],
    ['max-age of 2^31 + 1', control('max-age=2147483649'), true],
    ['max-age far beyond 2^31', control('max-age=99999999999'), true],
    ['max-age with leading zeros', control('max-age=003600'), true],
    ['a directive in mixed case', control('MaX-aGe=3600'), true],
    ['max-age behind a directive that nobody knows', control('foobar, max-age=3600'), true],
    ['max-age behind one with a value that nobody knows', control('foobar="a, b", max-age=3600'), true],
    ['max-age behind empty members', control(', , max-age=3600,'), true],
    ['a negative max-age', control('max-age=-3600'), false],
    ['max-age in single quotes', control("max-age='3600'"), false],
    ['max-age with a fraction', control('max-age=3600.5'), false],
    ['max-age with letters behind it', control('max-age=3600s'), false],
    ['max-age without a value', control('max-age'), false],
    ['max-age within a quoted string', control('extension="max-age=3600"'), false],
    ['the shorter max-age before one within a quoted string', control('max-age=0, extension="max-age=3600"'), false],
    ['the shorter max-age behind one within a quoted string', control('extension="max-age=3600", max-age=0'), false],
    [
      'max-age behind a quoted string with an escaped quotation mark',
      control('extension="a\\", max-age=3600, b=\\"", max-age=0'),
      false,
    ],
  ]),
  'Age is read strictly (RFC 9111 §5.1)': table('Age', [
    ['letters, which are not counted,', aged('abc'), true],
    ['a negative number, which is not counted,', aged('-7200'), true],
    ['a number with a point, which is not counted,', aged('7200.0'), true],
    ['2^31 - 1', aged('2147483647'), false],
    ['2^31', aged('2147483648'), false],
    ['2^31 + 1', aged('2147483649'), false],
    ['more digits than a number holds', aged('9'.repeat(400)), false],
    ['a list that begins with more than the lifetime', aged('7200, 0'), false],
    ['a list that begins with 0', aged('0, 7200'), true],
    ['a first line of more than the lifetime', aged(['7200', '0']), false],
    ['a first line of 0', aged(['0', '7200']), true],
    ['0 twice in a line', aged('0, 0'), true],
    ['0 in two lines', aged(['0', '0']), true],
    ['less than the lifetime in two lines', { ...aged(['3600', '3600']), 'Cache-Control': 'max-age=10000' }, true],
  ]),
  'dates are read strictly (RFC 9110 §5.6.7)': table('Expires', [
    ['past 2^31 seconds', expires('Tue, 19 Jan 2038 14:14:08 GMT'), true],
    ['centuries off', expires('Sun, 21 Nov 2286 04:46:39 GMT'), true],
    ['RFC 850 with a year of two digits to come', expires('Thursday, 18-Aug-50 02:01:18 GMT'), true],
    ['RFC 850 with a year more than 50 ahead, which is past,', expires('Friday, 06-Nov-94 08:49:37 GMT'), false],
    ['asctime', expires('Thu Aug  8 02:01:18 2050'), true],
    ['a weekday in capitals', expires('THU, 18 Aug 2050 02:01:18 GMT'), true],
    ['a month in capitals', expires('Thu, 18 AUG 2050 02:01:18 GMT'), true],
    ['a zone in mixed case', expires('Thu, 18 Aug 2050 02:01:18 gMT'), true],
    ['UTC for a zone', expires('Thu, 18 Aug 2050 02:01:18 UTC'), false],
    ['AEST for a zone', expires('Thu, 18 Aug 2050 02:01:18 AEST'), false],
    ['an offset for a zone', expires('Thu, 18 Aug 2050 02:01:18 +0000'), false],
    ['no zone', expires('Thu, 18 Aug 2050 02:01:18'), false],
    ['IMF-fixdate with a year of two digits', expires('Thu, 18 Aug 50 02:01:18 GMT'), false],
    ['no comma', expires('Thu 18 Aug 2050 02:01:18 GMT'), false],
    ['two spaces', expires('Thu, 18  Aug  2050 02:01:18 GMT'), false],
    ['dashes in IMF-fixdate', expires('Thu, 18-Aug-2050 02:01:18 GMT'), false],
    ['points in the time', expires('Thu, 18 Aug 2050 02.01.18 GMT'), false],
    ['an hour of one digit', expires('Thu, 18 Aug 2050 2:01:18 GMT'), false],
    ['an hour that is none', expires('Thu, 18 Aug 2050 25:01:18 GMT'), false],
    ['a day that is none', expires('Thu, 31 Feb 2050 02:01:18 GMT'), false],
    ['ISO 8601', expires('2050-08-18T02:01:18Z'), false],
    ['0', expires('0'), false],
    ['-1', expires('-1'), false],
    ['nothing', expires(''), false],
    ['two lines', { Date: at(0), Expires: ['Thu, 18 Aug 2050 02:01:18 GMT', 'Thu, 18 Aug 2050 02:01:18 GMT'] }, false],
  ]),
});
