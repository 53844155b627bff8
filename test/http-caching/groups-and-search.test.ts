import { askedAgain, type CachingCase, type Fields, first, reused, testCaching } from '../support/caching-script.ts';

const lasting: Fields = { 'Cache-Control': 'max-age=3600' };

type Row = readonly [
  what: string,
  rule: string | readonly string[],
  one: string,
  other: string,
  from: 'store' | 'upstream',
];

const rows: readonly Row[] = [
  ['a parameter that does not count', 'params=("utm")', '?a=1&utm=2', '?utm=3&a=1', 'store'],
  ['a parameter that counts', 'params=("utm")', '?a=1&utm=2', '?a=2&utm=2', 'upstream'],
  ['a parameter that does not count, and is not there', 'params=("utm")', '?a=1', '?a=1&utm=2', 'store'],
  ['a parameter by an escaped name', 'params=("utm")', '?a=1&utm=2', '?a=1&%75tm=3', 'store'],
  ['a name in another case', 'params=("utm")', '?a=1&utm=2', '?a=1&UTM=2', 'upstream'],
  ['the order of what counts', 'params=("utm")', '?a=1&b=2', '?b=2&a=1', 'upstream'],
  ['no parameter at all counting', 'params', '?a=1', '?b=2', 'store'],
  ['all but one not counting: that one', 'params, except=("a")', '?a=1&b=2', '?a=2&b=2', 'upstream'],
  ['all but one not counting: another', 'params, except=("a")', '?a=1&b=2', '?a=1&b=3', 'store'],
  ['no order', 'key-order', '?a=1&b=2', '?b=2&a=1', 'store'],
  ['no order, but that of one name', 'key-order', '?a=1&a=2', '?a=2&a=1', 'upstream'],
  ['two lines', ['key-order', 'params=("utm")'], '?a=1&b=2', '?utm=1&b=2&a=1', 'store'],
  ['a rule that says nothing', 'params=()', '?a=1', '?a=2', 'upstream'],
  ['a rule that is no dictionary', 'params=(utm', '?a=1&utm=1', '?a=1&utm=2', 'upstream'],
  ['names that are no strings', 'params=(utm)', '?a=1&utm=1', '?a=1&utm=2', 'upstream'],
  ['except without params', 'except=("a")', '?a=1&b=1', '?a=1&b=2', 'upstream'],
];

const searches: readonly CachingCase[] = [
  ...rows.map(([what, rule, one, other, from]): CachingCase => ({
    name: `${what}: ${from === 'store' ? 'the same' : 'another'}`,
    exchanges: [first({ ...lasting, 'No-Vary-Search': rule }, { target: one }), { from, target: other }],
  })),
  {
    name: 'what goes upstream is the query as the client wrote it',
    exchanges: [
      first({ ...lasting, 'No-Vary-Search': 'params=("utm"), key-order' }, { target: '?b=1&utm=%7e&a=2' }),
      askedAgain({ target: '?b=2&utm=%7E&a=%32', sentTarget: '?b=2&utm=%7E&a=%32' }),
    ],
  },
  {
    name: 'an answer without the field takes the rule back',
    exchanges: [
      first({ ...lasting, 'No-Vary-Search': 'params=("utm")' }, { target: '?a=1&utm=1' }),
      askedAgain({ target: '?a=2', origin: { fields: lasting } }),
      askedAgain({ target: '?a=1&utm=2' }),
    ],
  },
  {
    name: 'another path has its own rule',
    exchanges: [
      first({ ...lasting, 'No-Vary-Search': 'params' }, { target: '/one?a=1' }),
      first(lasting, { target: '/two?a=1' }),
      askedAgain({ target: '/two?a=2' }),
    ],
  },
  {
    name: 'an unsafe method makes invalid what is stored under a rule',
    exchanges: [
      first({ ...lasting, 'No-Vary-Search': 'params=("utm")' }, { target: '?a=1&utm=1' }),
      askedAgain({ method: 'POST', content: 'x', target: '?a=1&utm=2' }),
      askedAgain({ target: '?a=1&utm=1' }),
    ],
  },
];

const grouped = (groups: string, more: Fields = {}): Fields => ({ ...lasting, 'Cache-Groups': groups, ...more });

/** Groups are of the whole origin, which all cases here share: each has names of its own. */
const groups: readonly CachingCase[] = [
  {
    name: 'Cache-Group-Invalidation of an unsafe method makes all of the group invalid, and no other',
    exchanges: [
      first(grouped('"one-a", "one-b"'), { target: '/1' }),
      first(grouped('"one-b"'), { target: '/2' }),
      first(grouped('"one-c"'), { target: '/3' }),
      askedAgain({
        method: 'POST',
        content: 'x',
        target: '/form',
        origin: { fields: { 'Cache-Group-Invalidation': '"one-b"' } },
      }),
      askedAgain({ target: '/1' }),
      askedAgain({ target: '/2' }),
      reused({ target: '/3', of: 3 }),
    ],
  },
  {
    name: 'Cache-Group-Invalidation of a safe method means nothing',
    exchanges: [
      first(grouped('"two"'), { target: '/1' }),
      first({ 'Cache-Group-Invalidation': '"two"' }, { target: '/2' }),
      reused({ target: '/1', of: 1 }),
    ],
  },
  {
    name: 'Cache-Group-Invalidation of a method that failed means nothing',
    exchanges: [
      first(grouped('"three"'), { target: '/1' }),
      askedAgain({
        method: 'POST',
        content: 'x',
        target: '/2',
        origin: { status: 500, fields: { 'Cache-Group-Invalidation': '"three"' } },
      }),
      reused({ target: '/1', of: 1 }),
    ],
  },
  {
    name: 'names of groups are compared as they are',
    exchanges: [
      first(grouped('"Four A"'), { target: '/1' }),
      first(grouped('"four a"'), { target: '/2' }),
      askedAgain({
        method: 'POST',
        content: 'x',
        target: '/3',
        origin: { fields: { 'Cache-Group-Invalidation': '"Four A"' } },
      }),
      askedAgain({ target: '/1' }),
      reused({ target: '/2', of: 2 }),
    ],
  },
  {
    name: 'a field that is no list of strings names no group',
    exchanges: [
      first(grouped('five, "five"'), { target: '/1' }),
      askedAgain({
        method: 'POST',
        content: 'x',
        target: '/2',
        origin: { fields: { 'Cache-Group-Invalidation': '"five"' } },
      }),
      reused({ target: '/1', of: 1 }),
    ],
  },
  {
    name: 'all variants of a grouped answer become invalid',
    exchanges: [
      first(grouped('"six"', { Vary: 'Foo' }), { target: '/1', fields: { Foo: '1' } }),
      askedAgain({ target: '/1', fields: { Foo: '2' }, origin: { fields: grouped('"six"', { Vary: 'Foo' }) } }),
      askedAgain({ method: 'DELETE', target: '/2', origin: { fields: { 'Cache-Group-Invalidation': '"six"' } } }),
      askedAgain({ target: '/1', fields: { Foo: '1' }, origin: { fields: grouped('"six"', { Vary: 'Foo' }) } }),
      askedAgain({ target: '/1', fields: { Foo: '2' } }),
    ],
  },
  {
    name: 'a 304 moves a stored answer into another group',
    exchanges: [
      first({ 'Cache-Control': 'max-age=10', Age: '20', ETag: '"a"', 'Cache-Groups': '"seven-a"' }, { target: '/1' }),
      {
        from: 'validated',
        target: '/1',
        origin: { status: 304, fields: { ...grouped('"seven-b"'), ETag: '"a"' } },
      },
      askedAgain({
        method: 'POST',
        content: 'x',
        target: '/2',
        origin: { fields: { 'Cache-Group-Invalidation': '"seven-a"' } },
      }),
      reused({ target: '/1', of: 1, expect: { 'cache-control': 'max-age=3600', 'cache-groups': '"seven-b"' } }),
      askedAgain({
        method: 'POST',
        content: 'x',
        target: '/2',
        origin: { fields: { 'Cache-Group-Invalidation': '"seven-b"' } },
      }),
      askedAgain({ target: '/1' }),
    ],
  },
];

testCaching({
  'No-Vary-Search changes the later keys of a path': searches,
  'Cache-Groups (RFC 9875)': groups,
});
