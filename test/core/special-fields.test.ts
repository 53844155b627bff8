import { describe, expect, it } from 'vitest';

import { classifyRequest } from '../../src/core/classify-request.ts';
import { special, specialOf } from '../../src/core/special-fields.ts';
import { fieldsOf, honourRoute, requestOf, routeOf } from '../support/policy.ts';

const values: Readonly<Record<string, readonly [name: string, bit: number]>> = {
  upgrade: ['websocket', special.upgrade],
  authorization: ['Bearer x', special.authorization],
  cookie: ['a=1', special.cookie],
  'if-match': ['"a"', special.ifMatch],
  'if-unmodified-since': ['Mon, 23 Nov 2026 12:00:00 GMT', special.ifUnmodifiedSince],
  'if-none-match': ['"a"', special.ifNoneMatch],
  'if-modified-since': ['Mon, 23 Nov 2026 12:00:00 GMT', special.ifModifiedSince],
  range: ['bytes=0-1', special.range],
  'cache-control': ['no-cache', special.cacheControl],
  'accept-encoding': ['gzip', special.acceptEncoding],
  'x-http-method': ['PUT', special.methodOverride],
  'x-http-method-override': ['PUT', special.methodOverride],
  'x-method-override': ['PUT', special.methodOverride],
  traceparent: ['00-1-2-01', special.traceparent],
  'content-length': ['0', special.contentLength],
  'transfer-encoding': ['chunked', special.transferEncoding],
};
const cases = Object.entries(values).map(([name, [value, bit]]) => ({ name, value, bit }));

describe('the fields that somebody looks for', () => {
  it.each(cases)('$name has its bit, beside those of others', ({ name, value, bit }) => {
    const fields = fieldsOf('host: a', `${name}: ${value}`, 'x-other: b');
    expect(specialOf(fields)).toBe(bit);
    expect(specialOf([...fields, ...fieldsOf('range: x', `${name}: again`)])).toBe(bit | special.range);
  });

  it('are found by names that some servers read so only where the method would be another', () => {
    expect(specialOf(fieldsOf('x_http_method_override: PUT'))).toBe(special.methodOverride);
    expect(specialOf(fieldsOf('content_length: 3', 'transfer_encoding: chunked', 'if_none_match: *'))).toBe(0);
  });

  it('are none in a plain request', () => {
    expect(specialOf(fieldsOf('host: a', 'accept: */*', 'user-agent: x', 'if-range: "a"'))).toBe(0);
  });

  const connection = 'connection: upgrade';
  it.each([
    ['upgrade', routeOf(), 'upgrade'],
    ['authorization', routeOf(), 'authorization'],
    ['cookie', routeOf(), 'cookie'],
    ['if-match', honourRoute(), 'precondition'],
    ['if-unmodified-since', honourRoute(), 'precondition'],
    ['x-http-method', honourRoute({}, { forwardHeaders: ['*'] }), 'method-override'],
    ['x-http-method-override', honourRoute({}, { forwardHeaders: ['*'] }), 'method-override'],
    ['x-method-override', honourRoute({}, { forwardHeaders: ['*'] }), 'method-override'],
  ])('%s keeps a GET and a HEAD from the store, looked for beforehand or not', (name, route, reason) => {
    const fields = fieldsOf(connection, `${name}: ${values[name]?.[0] ?? ''}`);
    for (const method of ['GET', 'HEAD']) {
      const request = requestOf({ method, fields });
      const relayed = { kind: 'relay', fwd: 'bypass', reason };
      expect(classifyRequest(route, request)).toEqual(relayed);
      expect(classifyRequest(route, { ...request, special: specialOf(fields) })).toEqual(relayed);
    }
  });
});
