import { describe, expect, it } from 'vitest';
import { clientConditions, forwardedFields } from '../../src/core/forwarded-fields.ts';
import type { Route } from '../../src/core/route.ts';
import { fieldsOf, honourRoute, routeOf } from '../support/policy.ts';

const honoured = routeOf({ upstreamCacheControl: 'honour' }, { forwardHeaders: ['*'], headers: ['x-tenant'] });

function forwarded(...lines: readonly string[]): readonly string[] {
  return forwardedFields(honoured, fieldsOf(...lines)).map(([name]) => name);
}

const forwarding = (...forwardHeaders: readonly string[]): Route => honourRoute({}, { forwardHeaders });

describe('request fields that an honour route sends upstream unkeyed', () => {
  it('are those that it names, or all with *, but not the keyed ones', () => {
    expect(forwarded('Accept: a', 'X-Any: b', 'X-Tenant: c')).toEqual(['accept', 'x-any']);
    const some = { ...honoured, forwardHeaders: ['accept'] };
    expect(forwardedFields(some, fieldsOf('Accept: a', 'X-Any: b'))).toEqual([['accept', 'a']]);
    expect(forwardedFields({ ...honoured, forwardHeaders: [] }, fieldsOf('Accept: a'))).toEqual([]);
  });

  it.each([
    'Cookie: a',
    'Host: a',
    'Connection: close',
    'TE: trailers',
    'Transfer-Encoding: chunked',
    'Content-Length: 3',
    'Expect: 100-continue',
    'Upgrade: h2c',
    'Proxy-Authorization: a',
    'X-Forwarded-Host: evil',
    'Forwarded: host=evil',
    'X-Original-URL: /admin',
    'X-Rewrite-URL: /admin',
    'X-Host: evil',
    'X-HTTP-Method-Override: POST',
    'X-Method-Override: POST',
    'If-None-Match: "a"',
    'Range: bytes=0-1',
    'X-Forwarded: host=evil',
    'X-HTTP-Host-Override: evil',
    'X-Host-Override: evil',
    'X-Original-URI: /admin',
    'X-Original-Path: /admin',
    'X-Original-Method: POST',
    'X-Override-URL: /admin',
    'X-Rewrite-Host: evil',
    'X-HTTP-Path-Override: /admin',
    'X-Envoy-Original-Path: /admin',
    'X-Envoy-Original-Host: evil',
    'X-Method: POST',
    'X-Scheme: http',
    'X-URL-Scheme: http',
    'Front-End-HTTPS: off',
    'Proxy: http://evil',
    'X_Forwarded_Host: evil',
    'X-Forwarded_Host: evil',
    'X.Forwarded.Host: evil',
    'X_Original_URL: /admin',
    'X_HTTP_Method_Override: POST',
    'Content_Length: 3',
    'Transfer_Encoding: chunked',
    'Keep_Alive: 1',
    'X_Tenant: evil',
    'Accept_Language: de',
    'X_Unheard_Of: a',
    'X~Other: a',
  ])('never hold %s', (line) => {
    expect(forwarded(line, 'X-Any: b')).toEqual(['x-any']);
  });

  it('hold what some servers read as another name only by its own, and never as one that goes nowhere or is keyed', () => {
    const lines = fieldsOf('X_Any: a', 'X-Any: b', 'X_Forwarded_Host: c', 'Transfer_Encoding: d', 'X_Tenant: e');
    const names = (forwardHeaders: readonly string[], headers: readonly string[] = []): readonly string[] =>
      forwardedFields(honourRoute({}, { forwardHeaders, headers }), lines).map(([name]) => name);
    expect(names(['*'])).toEqual(['x-any']);
    expect(names(['*', 'x_any'])).toEqual(['x_any', 'x-any']);
    expect(names(['x_any'])).toEqual(['x_any']);
    const named = ['x_forwarded_host', 'transfer_encoding', 'x_tenant'];
    expect(names(named)).toEqual(['x_tenant']);
    expect(names(named, ['x-tenant'])).toEqual([]);
    expect(names(['*'], ['x_any'])).toEqual([]);
  });

  it('hold Cookie where it is named, and Authorization where all or it is, unless the upstream has its own', () => {
    const lines = fieldsOf('Authorization: a', 'Cookie: b', 'X-Any: c');
    const names = (route: Route): readonly string[] => forwardedFields(route, lines).map(([name]) => name);
    expect(names(forwarding('*'))).toEqual(['authorization', 'x-any']);
    expect(names(forwarding('*', 'cookie'))).toEqual(['authorization', 'cookie', 'x-any']);
    expect(names(forwarding('authorization'))).toEqual(['authorization']);
    expect(names(forwarding('cookie'))).toEqual(['cookie']);
    expect(names({ ...forwarding('*'), forwardsAuthorization: false })).toEqual(['x-any']);
    expect(names(honourRoute({}, { forwardHeaders: ['*', 'cookie'], headers: ['cookie', 'authorization'] }))).toEqual([
      'x-any',
    ]);
  });

  it('are none that the upstream puts on itself: what a client sends by such a name never gets there', () => {
    const lines = fieldsOf('User-Agent: a', 'Accept-Language: b', 'X-Any: c');
    const names = (...forwardHeaders: readonly string[]): readonly string[] => {
      const route = { ...forwarding(...forwardHeaders), putOn: ['user-agent', 'accept-language'] };
      return forwardedFields(route, lines).map(([name]) => name);
    };
    expect(names('*')).toEqual(['x-any']);
    expect(names('accept-language', 'user-agent', 'x-any')).toEqual(['x-any']);
  });

  it('ask for no coding where credentials are looked for in answers, whatever is forwarded', () => {
    const lines = fieldsOf('Accept: a', 'Accept-Encoding: br', 'Accept_Encoding: br', 'A-IM: gzip', 'A_IM: gzip');
    for (const [named, more] of [
      [['*'], ['accept: a']],
      [['accept', 'accept-encoding'], ['accept: a']],
      [['accept', 'accept_encoding', 'a_im'], ['accept: a']],
      [[], []],
    ] as const) {
      const route = { ...forwarding(...named), asksPlain: true };
      const sent = forwardedFields(route, lines).map((line) => line.join(': '));
      expect(sent).toEqual([...more, 'accept-encoding: identity']);
    }
  });

  it('lack what Connection nominates, quoted commas and all (RFC 9110 §7.6.1)', () => {
    expect(forwarded('Connection: X-Any , close', 'X-Any: b', 'Accept: a')).toEqual(['accept']);
    expect(forwarded('Connection: "x-any, y"', 'X-Any: b')).toEqual(['x-any']);
  });

  it('keep what no connection option may take away', () => {
    expect(forwarded('Connection: cache-control, x-any', 'Cache-Control: no-cache', 'X-Any: b')).toEqual([
      'cache-control',
    ]);
  });
});

describe('the conditions of a client that are passed on where nothing is stored', () => {
  it('are those that ask for less than the whole, lines as they came', () => {
    const lines = fieldsOf('Range: bytes=0-1', 'Accept: a', 'If-None-Match: "a"', 'If-None-Match: "b"');
    expect(clientConditions(lines)).toEqual(fieldsOf('Range: bytes=0-1', 'If-None-Match: "a"', 'If-None-Match: "b"'));
    expect(clientConditions(fieldsOf('If-Modified-Since: x', 'If-Range: "a"'))).toHaveLength(2);
    expect(clientConditions(fieldsOf('If-Match: "a"', 'If-Unmodified-Since: x', 'Accept: a'))).toEqual([]);
  });
});
