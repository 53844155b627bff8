import { describe, expect, it } from 'vitest';
import { classifyRequest } from '../../src/core/classify-request.ts';
import { fieldsOf, honourRoute, requestOf, routeOf } from '../support/policy.ts';

describe('a request on a cached route', () => {
  it('is looked up where it is GET or HEAD', () => {
    expect(classifyRequest(routeOf(), requestOf())).toEqual({ kind: 'lookup', head: false });
    expect(classifyRequest(routeOf(), requestOf({ method: 'HEAD' }))).toEqual({ kind: 'lookup', head: true });
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'M-SEARCH', 'get', 'QUERY'])(
    'is relayed as %s',
    (method) => {
      const relayed = { kind: 'relay', fwd: 'method', reason: 'method' };
      expect(classifyRequest(routeOf(), requestOf({ method, hasContent: true }))).toEqual(relayed);
    },
  );

  it.each(['GET', 'HEAD'])('is refused as %s with content', (method) => {
    for (const route of [routeOf(), honourRoute()]) {
      const classified = classifyRequest(route, requestOf({ method, hasContent: true }));
      expect(classified).toMatchObject({ kind: 'reject', problem: { status: 400, code: 'content-not-allowed' } });
    }
  });

  it.each([
    ['Authorization: Bearer x', 'authorization'],
    ['Cookie: a=b', 'cookie'],
  ])('with %s is relayed unless the route keys it or an honour route forwards it by name', (line, name) => {
    const request = requestOf({ fields: fieldsOf(line) });
    for (const route of [routeOf(), honourRoute(), honourRoute({}, { forwardHeaders: ['accept'] })]) {
      expect(classifyRequest(route, request)).toEqual({ kind: 'relay', fwd: 'bypass', reason: name });
    }
    expect(classifyRequest(routeOf({}, { headers: [name] }), request).kind).toBe('lookup');
    expect(classifyRequest(honourRoute({}, { forwardHeaders: [name] }), request).kind).toBe('lookup');
  });

  it('is looked up with Authorization, not with Cookie, where all fields go upstream', () => {
    const all = honourRoute({}, { forwardHeaders: ['*'] });
    const authorized = requestOf({ fields: fieldsOf('Authorization: Bearer x') });
    expect(classifyRequest(all, authorized).kind).toBe('lookup');
    expect(classifyRequest(all, requestOf({ fields: fieldsOf('Cookie: a=b') }))).toMatchObject({ reason: 'cookie' });
    const named = honourRoute({}, { forwardHeaders: ['*', 'cookie'] });
    expect(classifyRequest(named, requestOf({ fields: fieldsOf('Cookie: a=b') })).kind).toBe('lookup');
    // The upstream's own credentials put another one on: the answer is not to this client.
    const replaced = { ...all, forwardsAuthorization: false };
    expect(classifyRequest(replaced, authorized)).toMatchObject({ reason: 'authorization' });
  });

  it('is looked up with a field of the caller’s that gives way to the upstream’s own, on ruled routes', () => {
    for (const [line, name] of [
      ['Authorization: Bearer x', 'authorization'],
      ['Cookie: a=b', 'cookie'],
    ] as const) {
      const request = requestOf({ fields: fieldsOf(line) });
      const putOn = { putOn: [name] };
      expect(classifyRequest(routeOf({}, putOn), request).kind).toBe('lookup');
      expect(classifyRequest(routeOf({ upstreamCacheControl: 'cap' }, putOn), request).kind).toBe('lookup');
      expect(classifyRequest(honourRoute({}, putOn), request)).toMatchObject({ kind: 'relay', reason: name });
      expect(classifyRequest(routeOf({}, { putOn: ['x-key'] }), request)).toMatchObject({
        kind: 'relay',
        reason: name,
      });
    }
  });

  it('is relayed where it asks for another protocol', () => {
    const upgrade = requestOf({ fields: fieldsOf('Connection: Upgrade', 'Upgrade: websocket') });
    expect(classifyRequest(routeOf(), upgrade)).toEqual({ kind: 'relay', fwd: 'bypass', reason: 'upgrade' });
    const offer = requestOf({ fields: fieldsOf('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c') });
    expect(classifyRequest(routeOf(), offer).kind).toBe('lookup');
  });

  it.each([
    'Range: bytes=0-9',
    'If-None-Match: "a"',
    'If-Modified-Since: x',
    'Cache-Control: no-cache',
    'Pragma: no-cache',
  ])('is looked up with %s', (line) => {
    expect(classifyRequest(routeOf(), requestOf({ fields: fieldsOf(line) })).kind).toBe('lookup');
    expect(classifyRequest(honourRoute(), requestOf({ fields: fieldsOf(line) })).kind).toBe('lookup');
  });

  it.each(['If-Match: "a"', 'If-Unmodified-Since: Mon, 23 Nov 2026 12:00:00 GMT'])(
    'with %s is relayed on honour routes alone: only upstream can tell',
    (line) => {
      const request = requestOf({ fields: fieldsOf(line) });
      expect(classifyRequest(honourRoute(), request)).toEqual({ kind: 'relay', fwd: 'bypass', reason: 'precondition' });
      expect(classifyRequest(routeOf(), request).kind).toBe('lookup');
    },
  );

  it('is relayed where it overrides its method in a field that would go upstream unkeyed', () => {
    const request = requestOf({ fields: fieldsOf('X-HTTP-Method-Override: DELETE') });
    const bypass = { kind: 'relay', fwd: 'bypass', reason: 'method-override' };
    expect(classifyRequest(honourRoute({}, { forwardHeaders: ['*'] }), request)).toEqual(bypass);
    expect(classifyRequest(honourRoute(), request).kind).toBe('lookup');
    expect(classifyRequest(routeOf(), request).kind).toBe('lookup');
  });

  it.each(['X_HTTP_Method_Override', 'X-HTTP_Method', 'X.Method.Override'])(
    'is relayed too with %s, which some servers read as such a field',
    (name) => {
      const request = requestOf({ fields: fieldsOf(`${name}: DELETE`) });
      const bypass = { kind: 'relay', fwd: 'bypass', reason: 'method-override' };
      expect(classifyRequest(honourRoute({}, { forwardHeaders: ['*'] }), request)).toEqual(bypass);
      const named = honourRoute({}, { forwardHeaders: [name.toLowerCase()] });
      expect(classifyRequest(named, request)).toEqual(bypass);
      expect(classifyRequest(honourRoute(), request).kind).toBe('lookup');
    },
  );
});

describe('a request on a route with cache: off', () => {
  it.each(['GET', 'HEAD', 'POST'])('is relayed as %s, content or not', (method) => {
    const classified = classifyRequest(routeOf({}, { cache: 'off' }), requestOf({ method, hasContent: true }));
    expect(classified).toEqual({ kind: 'relay', fwd: 'bypass', reason: 'cache-off' });
  });
});

describe('a request with a method that the route names', () => {
  const named = { content: { methods: ['QUERY', 'POST'], as: 'json', maxBytes: 100 } } as const;
  const json = fieldsOf('Content-Type: application/json');

  it.each(['QUERY', 'POST'] as const)('is looked up once its content is there: %s', (method) => {
    const content = { method, as: 'json', type: 'application/json' };
    for (const route of [routeOf({}, named), honourRoute({}, named)]) {
      for (const hasContent of [true, false]) {
        const request = requestOf({ method, fields: json, hasContent });
        expect(classifyRequest(route, request)).toEqual({ kind: 'lookup', head: false, content });
      }
    }
  });

  it('is relayed where the route does not read what it carries, or knows no such method', () => {
    const other = requestOf({ method: 'POST', fields: fieldsOf('Content-Type: text/plain'), hasContent: true });
    expect(classifyRequest(routeOf({}, named), other)).toEqual({
      kind: 'relay',
      fwd: 'bypass',
      reason: 'content-type',
    });
    for (const method of ['PUT', 'query', 'PATCH']) {
      expect(classifyRequest(routeOf({}, named), { ...other, method })).toMatchObject({ reason: 'method' });
    }
    const off = routeOf({}, { ...named, cache: 'off' });
    expect(classifyRequest(off, requestOf({ method: 'QUERY', fields: json }))).toMatchObject({ reason: 'cache-off' });
  });

  it('is refused where a QUERY does not say what its content is (RFC 10008 §2), and where it is coded', () => {
    const untyped = requestOf({ method: 'QUERY', hasContent: true });
    expect(classifyRequest(routeOf({}, named), untyped)).toMatchObject({ problem: { status: 400 } });
    const coded = requestOf({ method: 'QUERY', fields: [...json, ['content-encoding', 'gzip']], hasContent: true });
    expect(classifyRequest(routeOf({}, named), coded)).toMatchObject({ problem: { status: 415 } });
  });

  it('is relayed where it is a POST with content that is not read: it was before its route had `content`', () => {
    for (const [line, reason] of [
      [['content-encoding', 'gzip'], 'content-coding'],
      [['content-length', '101'], 'content-length'],
      [['content-type', 'application/json'], 'content-type'],
    ] as const) {
      const post = requestOf({ method: 'POST', fields: [...json, line], hasContent: true });
      expect(classifyRequest(routeOf({}, named), post)).toEqual({ kind: 'relay', fwd: 'bypass', reason });
    }
  });

  it('is relayed with credentials, and as a POST that asks for there to be nothing yet', () => {
    for (const line of ['authorization', 'cookie'] as const) {
      const request = requestOf({ method: 'QUERY', fields: [...json, [line, 'a=b']], hasContent: true });
      expect(classifyRequest(routeOf({}, named), request)).toMatchObject({ kind: 'relay', reason: line });
    }
    const fields = [...json, ['if-none-match', '*']] as const;
    const post = requestOf({ method: 'POST', fields, hasContent: true });
    expect(classifyRequest(honourRoute({}, named), post)).toMatchObject({
      kind: 'relay',
      reason: 'post-if-none-match',
    });
    expect(classifyRequest(honourRoute({}, named), { ...post, method: 'QUERY' })).toMatchObject({ kind: 'lookup' });
    expect(classifyRequest(routeOf({}, named), post)).toMatchObject({ kind: 'lookup' });
  });
});
