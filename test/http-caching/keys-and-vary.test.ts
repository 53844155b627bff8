import {
  askedAgain,
  at,
  type CachingCase,
  type Exchange,
  type Fields,
  first,
  reused,
  testCaching,
} from '../support/caching-script.ts';

const lasting: Fields = { 'Cache-Control': 'max-age=5000', Date: at(0), 'Last-Modified': at(-3000) };
type RequestFields = NonNullable<Exchange['fields']>;

const targets: readonly (readonly [what: string, one: string, other: string, from: 'store' | 'upstream'])[] = [
  ['the same query', '?test=1', '?test=1', 'store'],
  ['another value', '?test=1', '?test=2', 'upstream'],
  ['another order', '?a=1&b=2', '?b=2&a=1', 'upstream'],
  ['another case', '?a=x', '?a=X', 'upstream'],
  ['an escape for the letter itself', '?a=x', '?a=%78', 'upstream'],
  ['a repeated parameter', '?a=1', '?a=1&a=1', 'upstream'],
  ['an empty query for none', '', '?', 'upstream'],
  ['a parameter without a value', '?a', '?a=', 'upstream'],
  ['a path with a slash at its end', '/x', '/x/', 'upstream'],
  ['a path in another case', '/x', '/X', 'upstream'],
];

const keys: readonly CachingCase[] = targets.map(([what, one, other, from]) => ({
  name: `${what} ${from === 'store' ? 'is the same' : 'is another'}`,
  exchanges: [first(lasting, { target: one }), { from, target: other }],
}));

type Row = readonly [
  what: string,
  vary: string | readonly string[],
  one: RequestFields,
  other: RequestFields,
  from: 'store' | 'upstream',
];

const rows: readonly Row[] = [
  ['the same value', 'Foo', { Foo: '1' }, { Foo: '1' }, 'store'],
  ['another value', 'Foo', { Foo: '1' }, { Foo: '2' }, 'upstream'],
  ['a value in another case', 'Foo', { Foo: 'a' }, { Foo: 'A' }, 'upstream'],
  ['a field that was not there', 'Foo', {}, { Foo: '1' }, 'upstream'],
  ['a field that is not there', 'Foo', { Foo: '1' }, {}, 'upstream'],
  ['an empty field for none', 'Foo', { Foo: '' }, {}, 'upstream'],
  ['a field that Vary does not name', 'Foo', { Foo: '1', Other: '2' }, { Foo: '1', Other: '3' }, 'store'],
  ['two fields alike', 'Foo, Bar', { Foo: '1', Bar: 'abc' }, { Foo: '1', Bar: 'abc' }, 'store'],
  ['one of two fields otherwise', 'Foo, Bar', { Foo: '1', Bar: 'abc' }, { Foo: '2', Bar: 'abc' }, 'upstream'],
  ['two fields, none there now', 'Foo, Bar', { Foo: '1', Bar: 'abc' }, {}, 'upstream'],
  ['two fields that exchange their values', 'Foo, Bar', { Foo: '1', Bar: '2' }, { Foo: '2', Bar: '1' }, 'upstream'],
  [
    'three fields alike, in another order',
    'Foo, Bar, Baz',
    { Foo: '1', Bar: 'abc', Baz: '789' },
    { Baz: '789', Foo: '1', Bar: 'abc' },
    'store',
  ],
  [
    'one of three fields otherwise',
    'Foo, Bar, Baz',
    { Foo: '1', Bar: 'abc', Baz: '789' },
    { Foo: '1', Baz: '789', Bar: 'abcde' },
    'upstream',
  ],
  [
    'one of three fields missing both times',
    'Foo, Bar, Baz',
    { Foo: '1', Baz: '789' },
    { Foo: '1', Baz: '789' },
    'store',
  ],
  ['names of Vary in another case', 'FOO', { Foo: '1' }, { foo: '1' }, 'store'],
  ['names of Vary in several lines', ['Foo', 'Bar'], { Foo: '1', Bar: '2' }, { Foo: '1', Bar: '3' }, 'upstream'],
  ['empty members of Vary', ', Foo,,', { Foo: '1' }, { Foo: '2' }, 'upstream'],
  ['an empty Vary', '', { Foo: '1' }, { Foo: '2' }, 'store'],
  ['two lines for one with a comma', 'Foo', { Foo: '1, 2' }, { Foo: ['1', '2'] }, 'store'],
  ['white space round commas', 'Foo', { Foo: '1,2' }, { Foo: ' 1, 2 ' }, 'store'],
  ['white space within a member', 'Foo', { Foo: '1 2' }, { Foo: '12' }, 'upstream'],
  [
    'Accept-Language in another order',
    'Accept-Language',
    { 'Accept-Language': 'en, de' },
    { 'Accept-Language': 'de, en' },
    'store',
  ],
  [
    'Accept-Language in another case',
    'Accept-Language',
    { 'Accept-Language': 'en, de' },
    { 'Accept-Language': 'eN, De' },
    'store',
  ],
  [
    'Accept-Language with other white space',
    'Accept-Language',
    { 'Accept-Language': 'en, de' },
    { 'Accept-Language': ' en ,   de' },
    'store',
  ],
  [
    'Accept-Language with another weight',
    'Accept-Language',
    { 'Accept-Language': 'en, de' },
    { 'Accept-Language': 'en, de;q=0.5' },
    'upstream',
  ],
  [
    'Accept-Language with a weight of 1 said',
    'Accept-Language',
    { 'Accept-Language': 'en, de' },
    { 'Accept-Language': 'en;q=1.0, de' },
    'store',
  ],
  [
    'Accept-Encoding in another order',
    'Accept-Encoding',
    { 'Accept-Encoding': 'gzip, br' },
    { 'Accept-Encoding': 'br,gzip' },
    'store',
  ],
  [
    'Accept-Encoding with another member',
    'Accept-Encoding',
    { 'Accept-Encoding': 'gzip' },
    { 'Accept-Encoding': 'br' },
    'upstream',
  ],
  ...['*', '*, *', ', *', '*, Foo', 'Foo, *'].map((vary): Row => [
    `Vary: ${vary}`,
    vary,
    { Foo: '1' },
    { Foo: '1' },
    'upstream',
  ]),
  ['Vary: * in each of two lines', ['*', '*'], { Foo: '1' }, { Foo: '1' }, 'upstream'],
  ['Vary: * in a line behind an empty one', ['', '*'], { Foo: '1' }, { Foo: '1' }, 'upstream'],
  ['Vary: * in a line behind a name', ['Foo', '*'], { Foo: '1' }, { Foo: '1' }, 'upstream'],
];

const de = { fields: { ...lasting, Vary: 'Accept-Language', 'Content-Language': 'de' } };

const vary: readonly CachingCase[] = [
  ...rows.map(([what, names, one, other, from]): CachingCase => ({
    name: `${what}: ${from === 'store' ? 'used' : 'not used'}`,
    exchanges: [first({ ...lasting, Vary: names }, { fields: one }), { from, fields: other }],
  })),
  {
    name: 'two variants are stored side by side',
    exchanges: [
      first({ ...lasting, Vary: 'Foo' }, { fields: { Foo: '1' } }),
      askedAgain({
        fields: { Foo: '2' },
        origin: { fields: { ...lasting, Vary: 'Foo' } },
        cacheStatus: /fwd=vary-miss/,
      }),
      reused({ fields: { Foo: '1' }, of: 1 }),
      reused({ fields: { Foo: '2' }, of: 2 }),
    ],
  },
  {
    name: 'the stored language that a request likes best is used, whatever else it names',
    exchanges: [
      first(de.fields, { fields: { 'Accept-Language': 'en, de' } }),
      reused({ fields: { 'Accept-Language': 'fr;q=0.5, de;q=1.0' } }),
    ],
  },
  {
    name: 'a stored language that a request likes less is not used',
    exchanges: [
      first(de.fields, { fields: { 'Accept-Language': 'en, de' } }),
      askedAgain({ fields: { 'Accept-Language': 'fr, de;q=0.5' } }),
    ],
  },
  {
    name: 'a stored language that a request refuses is not used',
    exchanges: [
      first(de.fields, { fields: { 'Accept-Language': 'en, de' } }),
      askedAgain({ fields: { 'Accept-Language': 'de;q=0' } }),
    ],
  },
  {
    name: 'an answer without Vary hides no stored variant, and is used for who asked alike (RFC 9111 §4.1)',
    exchanges: [
      first(de.fields, { fields: { 'Accept-Language': 'de' } }),
      askedAgain({ origin: { fields: lasting }, cacheStatus: /fwd=vary-miss; stored/ }),
      reused({ fields: { 'Accept-Language': 'de' }, of: 1 }),
      reused({ of: 2 }),
      askedAgain({ fields: { 'Accept-Language': 'fr' }, origin: { fields: lasting } }),
      reused({ fields: { 'Accept-Language': 'fr' } }),
    ],
  },
  {
    name: 'an error without Vary hides no stored variant',
    exchanges: [
      first({ ...lasting, Vary: 'Foo' }, { fields: { Foo: '1' } }),
      askedAgain({ fields: { Foo: '2' }, origin: { status: 404, fields: lasting } }),
      reused({ fields: { Foo: '1' }, of: 1 }),
      reused({ fields: { Foo: '2' }, of: 2, status: 404 }),
    ],
  },
  {
    name: 'an answer without Vary hides no variant, by however many fields these are told apart',
    exchanges: [
      first(
        { ...lasting, Vary: ['Foo', ...Array.from({ length: 17 }, (_, index) => `F-${index}`)].join() },
        { fields: { Foo: '1' } },
      ),
      askedAgain({ fields: { Foo: '2' }, origin: { fields: lasting } }),
      reused({ fields: { Foo: '1' }, of: 1 }),
      reused({ fields: { Foo: '2' }, of: 2 }),
    ],
  },
  {
    name: 'a variant that is told of without Vary from then on stays one',
    exchanges: [
      first({ ...lasting, Vary: 'Foo' }, { fields: { Foo: '1' } }),
      askedAgain({ fields: { Foo: '2' }, origin: { fields: { ...lasting, Vary: 'Foo' } } }),
      askedAgain({ fields: { Foo: '2', 'Cache-Control': 'no-cache' }, origin: { fields: lasting } }),
      reused({ fields: { Foo: '1' }, of: 1 }),
      reused({ fields: { Foo: '2' }, of: 3 }),
    ],
  },
  {
    name: 'a validation carries the fields that Vary names',
    exchanges: [
      first({ 'Cache-Control': 'max-age=0', ETag: '"a"', Vary: 'Foo' }, { fields: { Foo: '1' } }),
      {
        from: 'validated',
        fields: { Foo: '1' },
        sent: { foo: '1', 'if-none-match': '"a"' },
        origin: { status: 304, fields: { ETag: '"a"' } },
      },
    ],
  },
];

testCaching({
  'the key is the path and the whole query (RFC 9111 §2)': keys,
  'Vary selects among stored answers (RFC 9111 §4.1)': vary,
});
