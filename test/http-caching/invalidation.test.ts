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

const lasting: Fields = { 'Cache-Control': 'max-age=100000', Date: at(0) };

/** One request with an unsafe method, which upstream answers like this. */
function unsafe(method: string, status: number, more: Partial<Exchange> = {}): Exchange {
  return {
    from: 'upstream',
    method,
    sentMethod: method,
    ...(method === 'DELETE' ? {} : { content: 'abc' }),
    origin: { status },
    ...more,
  };
}

const methods = ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH', 'MKCOL'];

const byMethod: readonly CachingCase[] = methods.flatMap((method) => [
  ...[200, 201, 204, 301, 303].map((status): CachingCase => ({
    name: `${method} that ends in ${status} makes what is stored of its URL invalid`,
    exchanges: [first(lasting), unsafe(method, status), askedAgain()],
  })),
  ...[400, 404, 500, 503].map((status): CachingCase => ({
    name: `${method} that ends in ${status} makes nothing invalid`,
    exchanges: [first(lasting), unsafe(method, status), reused({ of: 1 })],
  })),
]);

const safe: readonly CachingCase[] = ['OPTIONS', 'HEAD'].map((method) => ({
  name: `${method} makes nothing invalid`,
  exchanges: [
    first(lasting),
    { from: method === 'HEAD' ? 'store' : 'upstream', method, origin: { status: 200 } },
    reused({ of: 1 }),
  ],
}));

const scope: readonly CachingCase[] = [
  {
    name: 'all variants of the URL become invalid',
    exchanges: [
      first({ ...lasting, Vary: 'Foo' }, { fields: { Foo: '1' } }),
      askedAgain({ fields: { Foo: '2' }, origin: { fields: { ...lasting, Vary: 'Foo' } } }),
      unsafe('POST', 200),
      askedAgain({ fields: { Foo: '1' }, origin: { fields: { ...lasting, Vary: 'Foo' } } }),
      askedAgain({ fields: { Foo: '2' } }),
    ],
  },
  {
    name: 'another query stays',
    exchanges: [
      first(lasting, { target: '?a=1' }),
      unsafe('POST', 200, { target: '?a=2' }),
      reused({ target: '?a=1', of: 1 }),
    ],
  },
  {
    name: 'an unsafe method whose connection breaks off makes nothing invalid',
    exchanges: [
      first(lasting),
      { from: 'proxy', method: 'POST', content: 'abc', origin: { close: true }, status: 502 },
      reused({ of: 1 }),
    ],
  },
];

/** The case's own path is only known when it runs: references are relative to it. */
const located: readonly CachingCase[] = ['Location', 'Content-Location'].flatMap((name) => [
  {
    name: `${name}, relative, names a URL that becomes invalid too`,
    exchanges: [
      first(lasting, { target: '/target' }),
      unsafe('POST', 201, { target: '/form', origin: { status: 201, fields: { [name]: 'target' } } }),
      askedAgain({ target: '/target' }),
    ],
  },
  {
    name: `${name} of the proxy's own host names a URL that becomes invalid too`,
    exchanges: [
      first(lasting, { target: '/target' }),
      unsafe('POST', 201, {
        target: '/form',
        origin: { status: 201, fields: { [name]: '//proxy.example{path}/target' } },
      }),
      askedAgain({ target: '/target' }),
    ],
  },
  {
    name: `${name} of another host makes nothing invalid`,
    exchanges: [
      first(lasting, { target: '/target' }),
      unsafe('POST', 201, {
        target: '/form',
        origin: { status: 201, fields: { [name]: 'http://elsewhere.example{path}/target' } },
      }),
      reused({ target: '/target', of: 1 }),
    ],
  },
  {
    name: `${name} of an answer that failed makes nothing invalid`,
    exchanges: [
      first(lasting, { target: '/target' }),
      unsafe('POST', 500, { target: '/form', origin: { status: 500, fields: { [name]: 'target' } } }),
      reused({ target: '/target', of: 1 }),
    ],
  },
]);

const posted: readonly CachingCase[] = [
  {
    name: 'an answer to POST with a lifetime and its own URL in Content-Location is stored for GET',
    exchanges: [
      {
        from: 'upstream',
        method: 'POST',
        content: '12345',
        fields: { 'Content-Type': 'text/plain' },
        origin: { fields: { ...lasting, 'Content-Location': '{path}' } },
      },
      reused({ of: 1 }),
    ],
  },
  {
    name: 'an answer to POST replaces what was stored of its URL',
    exchanges: [
      first(lasting),
      {
        from: 'upstream',
        method: 'POST',
        content: '12345',
        origin: { fields: { ...lasting, 'Content-Location': '{path}' } },
      },
      reused({ of: 2 }),
    ],
  },
  {
    name: 'an answer to POST without Content-Location is not stored',
    exchanges: [{ from: 'upstream', method: 'POST', content: '12345', origin: { fields: lasting } }, askedAgain()],
  },
  {
    name: 'an answer to POST with another URL in Content-Location is not stored',
    exchanges: [
      {
        from: 'upstream',
        method: 'POST',
        content: '12345',
        origin: { fields: { ...lasting, 'Content-Location': '{path}/x' } },
      },
      askedAgain(),
      askedAgain({ target: '/x' }),
    ],
  },
  {
    name: 'an answer to POST without a lifetime is not stored, whatever could be guessed',
    exchanges: [
      {
        from: 'upstream',
        method: 'POST',
        content: '12345',
        origin: { fields: { Date: at(0), 'Last-Modified': at(-86_400), 'Content-Location': '{path}' } },
      },
      askedAgain(),
    ],
  },
  {
    name: 'an answer to POST is never used for another POST',
    exchanges: [
      {
        from: 'upstream',
        method: 'POST',
        content: '1',
        origin: { fields: { ...lasting, 'Content-Location': '{path}' } },
      },
      { from: 'upstream', method: 'POST', content: '1', sentMethod: 'POST', origin: { fields: lasting } },
    ],
  },
  {
    name: 'an answer to PUT is not stored, whatever its Content-Location',
    exchanges: [
      {
        from: 'upstream',
        method: 'PUT',
        content: '1',
        origin: { fields: { ...lasting, 'Content-Location': '{path}' } },
      },
      askedAgain(),
    ],
  },
];

testCaching({
  'an unsafe method that succeeds makes its URL invalid (RFC 9111 §4.4)': byMethod,
  'a safe method does not (RFC 9110 §9.2.1)': safe,
  'what becomes invalid': scope,
  'Location and Content-Location (RFC 9111 §4.4)': located,
  'the answer to POST (RFC 9110 §9.3.3)': posted,
});
