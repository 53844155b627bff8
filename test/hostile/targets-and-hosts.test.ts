import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, head, plainRoutes, startStage, told, type Stage } from '../support/hostile.ts';
import { startOrigin, type Origin } from '../support/origin.ts';

/** Where no request may go. */
let elsewhere: Origin;
let stage: Stage;
beforeAll(async () => {
  elsewhere = await startOrigin((_request, peer) => peer.respond(200, {}, 'evil'));
  stage = await startStage({
    routes: `${plainRoutes}
  - { name: joined, match: "/join/*", upstream: api, ttl: 10m, forward: "/{0}" }
  - { name: joined-relay, match: "/join-relay/*", upstream: api, cache: off, forward: "/{0}" }
  - { name: ruled-group, match: "/group/:city", upstream: api, ttl: 10m, forward: "/v1/{city}/x", pathParams: { city: { type: text, fold: true } } }
  - { name: hosted, match: "/hosted", host: hosted.test, upstream: api, ttl: 10m }`,
  });
});
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await elsewhere.close();
});

interface Outcome {
  readonly statuses: readonly number[];
  /** Targets that reached upstream. */
  readonly upstream: readonly string[];
  readonly elsewhere: number;
  readonly newlyStored: readonly string[];
}

async function outcomeOf(bytes: string): Promise<Outcome> {
  const before = stage.asked().length;
  const stored = await stage.stored();
  const { replies, rest } = await stage.converse(bytes);
  expect(rest).toHaveLength(0);
  await stage.sound();
  return {
    statuses: replies.map((reply) => reply.status),
    upstream: stage.asked().slice(before),
    elsewhere: elsewhere.requests.length,
    newlyStored: (await stage.stored()).filter((key) => !stored.includes(key)),
  };
}

function refusedWith(status: number): Outcome {
  return { statuses: [status], upstream: [], elsewhere: 0, newlyStored: [] };
}

describe('Hosts', () => {
  it.each<[input: string, lines: readonly string[]]>([
    ['two Host lines that differ', ['Host: api.test', 'Host: evil.test']],
    ['two Host lines that agree', ['Host: api.test', 'Host: api.test']],
    ['a Host in another case beside it', ['Host: api.test', 'hOST: evil.test']],
    ['no Host', []],
    ['an empty Host', ['Host:']],
    ['a Host that is a list', ['Host: api.test, evil.test']],
    ['a Host with a space', ['Host: api.test evil.test']],
    ['a Host with user information', ['Host: user@api.test']],
    ['a Host with a path', ['Host: api.test/x']],
    ['a Host with a fragment', ['Host: api.test#x']],
    ['a Host with a query', ['Host: api.test?x']],
    ['a Host with a backslash', ['Host: api.test\\x']],
    ['a Host that is a URL', ['Host: http://api.test']],
    ['a Host with a broken port', ['Host: api.test:80x']],
    ['a Host with a port past 65535', ['Host: api.test:65536']],
    ['a Host with two ports', ['Host: api.test:80:80']],
    ['a Host with a broken IPv6 address', ['Host: [::1']],
    ['a Host with an IPv6 address that is none', ['Host: [1:2:3]']],
    ['a percent-encoded Host', ['Host: %61pi.test']],
    ['a Host in UTF-8', ['Host: \xc3\xa4.test']],
    ['a Host longer than DNS allows', [`Host: ${'a.'.repeat(200)}test`]],
    ['a Host with a quote', ['Host: "api.test"']],
  ])('%s → 400 on every kind of route, nothing upstream', async (_input, lines) => {
    for (const route of ['c', 'h', 'r']) {
      const bytes = head(`GET /${route}/host HTTP/1.1`, 'Connection: close', ...lines);
      expect(await outcomeOf(bytes)).toEqual(refusedWith(400));
    }
  });

  it('any well-formed Host → upstream gets its own name and nothing of the client’s', async () => {
    for (const [route, host] of [
      ['c', 'evil.test'],
      ['h', 'EVIL.test:81'],
      ['r', '[::1]:80'],
    ] as const) {
      const target = `/${route}/any-host`;
      await stage.converse(head(`GET ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close'));
      const seen = stage.origin.requests.find((one) => one.target === target);
      expect(seen?.lines.filter(([name]) => name.toLowerCase() === 'host').map((line) => line[1])).toEqual([
        `127.0.0.1:${stage.origin.port}`,
      ]);
      expect(seen?.rawHead).not.toMatch(/evil|::1/i);
    }
  });

  it('a route of one host asked by another, by list or by suffix → 404 or 400, nothing upstream', async () => {
    for (const [host, status] of [
      ['evil.test', 404],
      ['hosted.test.evil.test', 404],
      ['xhosted.test', 404],
      ['hosted.test,evil.test', 400],
      ['evil.test@hosted.test', 400],
    ] as const) {
      const bytes = head('GET /hosted HTTP/1.1', `Host: ${host}`, 'Connection: close');
      expect(await outcomeOf(bytes)).toEqual(refusedWith(status));
    }
    const own = await stage.converse(head('GET /hosted HTTP/1.1', 'Host: HOSTED.test.:80', 'Connection: close'));
    expect(own.replies.map((reply) => reply.status)).toEqual([200]);
  });
});

describe('Targets that would leave the configured origins', () => {
  it.each<[input: string, target: string, status: number]>([
    ['absolute-form of another host', 'http://evil.test/c/x', 404],
    ['absolute-form of another host over https', 'https://evil.test/c/x', 404],
    ['absolute-form with user information', 'http://api.test@evil.test/c/x', 400],
    ['absolute-form with an empty host', 'http:///c/x', 400],
    ['absolute-form with a backslash behind the host', 'http://localhost\\@evil.test/c/x', 400],
    ['absolute-form with a fragment', 'http://localhost/c/x#@evil.test', 400],
    ['absolute-form of another scheme', 'ftp://localhost/c/x', 400],
    ['a file URL', 'file:///etc/passwd', 400],
    ['a javascript URL', 'javascript:alert(1)', 400],
    ['a scheme without an authority', 'http:/c/x', 400],
    ['a scheme alone', 'http:', 400],
    ['authority-form', 'evil.test:443', 400],
    ['a path without its slash', 'c/x', 400],
    ['a user and host in the place of a path', '@evil.test/c/x', 400],
    ['a query alone', '?c/x', 400],
    ['//', '//evil.test/c/x', 400],
    ['///', '///evil.test/c/x', 400],
    ['/\\', '/\\evil.test/c/x', 400],
    ['\\\\', '\\\\evil.test\\c\\x', 400],
    ['a backslash within the path', '/c/x\\..\\y', 400],
    ['# within the path', '/c/x#y', 400],
    ['# within the query', '/c/x?y#z', 400],
    ['a dot segment', '/c/../r/x', 400],
    ['a dot segment at the end', '/c/x/..', 400],
    ['a single dot', '/c/./x', 400],
    ['an encoded dot segment', '/c/%2e%2e/r/x', 400],
    ['a dot segment encoded in part', '/c/.%2E/r/x', 400],
    ['a dot segment before an encoded slash', '/c/..%2fr/x', 400],
    ['a dot segment behind an encoded backslash', '/c/x%5c../r/x', 400],
    ['a dot segment with a path parameter', '/c/..;a=b/r/x', 400],
    ['a dot segment with an encoded semicolon', '/c/..%3b/r/x', 400],
    ['an overlong dot', '/c/%c0%ae%c0%ae/r/x', 400],
    ['an overlong slash', '/c/x%c0%afy', 400],
    ['NUL, encoded', '/c/x%00.json', 400],
    ['a line end, encoded', '/c/x%0d%0aX-Evil:%201', 400],
    ['DEL, encoded', '/c/x%7f', 400],
    ['a broken escape', '/c/x%zz', 400],
    ['an escape that is cut off', '/c/x%2', 400],
    ['bytes that are not ASCII in the path', '/c/\xe9', 400],
    ['bytes that are not ASCII in the query', '/c/x?y=\xe9', 400],
    ['a pipe in the path', '/c/x|y', 400],
    ['< in the path', '/c/<script>', 400],
    ['a path that no route has', '/nowhere', 404],
    ['a path that begins like a route', '/cc/x', 404],
    ['the name of a route in another case', '/C/x', 404],
    ['a route behind an encoded slash', '/c%2fx', 404],
    ['an encoded letter of a route', '/%63/x', 404],
  ])('%s → refused, nothing upstream or elsewhere', async (_input, target, status) => {
    expect(await outcomeOf(get(target))).toEqual(refusedWith(status));
  });

  it.each<[input: string, target: string, upstream: string]>([
    ['// within the path', '/c//evil.test/x', '/c//evil.test/x'],
    ['@ within the path', '/c/@evil.test/x', '/c/@evil.test/x'],
    ['a URL within the path', '/c/http://evil.test/x', '/c/http://evil.test/x'],
    ['a doubly encoded dot segment', '/c/%252e%252e/x', '/c/%252e%252e/x'],
    ['an encoded slash', '/c/a%2Fb', '/c/a%2Fb'],
    ['an encoded slash in lower case', '/c/a%2fb', '/c/a%2fb'],
    ['three dots', '/c/.../x', '/c/.../x'],
    ['a URL within the query', '/c/x?u=http://evil.test/%23@', '/c/x?u=http://evil.test/%23@'],
    ['// relayed', '/r//evil.test/x', '/r//evil.test/x'],
    ['@ relayed', '/r/@evil.test:1/x', '/r/@evil.test:1/x'],
    ['a doubly encoded dot segment relayed', '/r/%252e%252e/x', '/r/%252e%252e/x'],
    ['an encoded slash relayed', '/r/a%2fb', '/r/a%2fb'],
    ['a backslash in the query relayed', '/r/x?a=\\evil.test', '/r/x?a=\\evil.test'],
  ])('%s → goes to the configured origin, byte for byte', async (_input, target, upstream) => {
    expect(await outcomeOf(get(target))).toMatchObject({ statuses: [200], upstream: [upstream], elsewhere: 0 });
  });

  it('absolute-form of the proxy itself → its own path, the Host field without meaning', async () => {
    const bytes = head('GET http://localhost/c/absolute?a=1 HTTP/1.1', 'Host: hosted.test', 'Connection: close');
    expect(await outcomeOf(bytes)).toMatchObject({ statuses: [200], upstream: ['/c/absolute?a=1'] });
    const origin = await outcomeOf(get('/c/absolute?a=1'));
    expect(origin).toMatchObject({ statuses: [200], upstream: [] });
  });

  it('absolute-form of a host with a route of its own, another Host beside it → the target’s host counts', async () => {
    const bytes = head('GET http://evil.test/hosted HTTP/1.1', 'Host: hosted.test', 'Connection: close');
    expect(await outcomeOf(bytes)).toEqual(refusedWith(404));
  });

  it.each<[input: string, target: string]>([
    ['a group that begins with a slash', '/join//evil.test/x'],
    ['the same, relayed', '/join-relay//evil.test/x'],
    ['a group with a backslash before the host', '/join/\\evil.test/x'],
    ['a dot segment for a typed group', '/group/..'],
    ['a dot segment for a typed group, doubly encoded', '/group/%2e%2e'],
    ['a slash for a typed group, decoded by its rule', '/group/%00'],
  ])('%s, put into forward → 400, nothing upstream', async (_input, target) => {
    expect(await outcomeOf(get(target))).toEqual(refusedWith(400));
  });

  it('a typed group that decodes to dots, slashes and line ends → refused or encoded, one segment upstream', async () => {
    const before = stage.asked().length;
    for (const group of ['a%2F..%2Fb', '%252e%252e', 'a%0d%0ab', '%2Fevil.test', '..%20', '%20..', '%E3%80%80..']) {
      await stage.converse(get(`/group/${group}`));
    }
    for (const target of stage.asked().slice(before)) {
      expect(target).toMatch(/^\/v1\/[^/]+\/x$/);
      expect(target).not.toMatch(/\/(?:\.|%2e){1,2}\//i);
    }
    await stage.sound();
  });

  it('a redirect of upstream to another host → passed on, not followed', async () => {
    await using redirecting = await startStage({
      script: (_request, peer) => peer.respond(302, { Location: `${elsewhere.url}/c/x` }),
    });
    for (const target of ['/c/x', '/h/x', '/r/x']) {
      const { replies } = await redirecting.converse(get(target));
      expect(replies.map((reply) => reply.status)).toEqual([302]);
    }
    expect(elsewhere.requests).toEqual([]);
    expect(redirecting.asked()).toHaveLength(3);
  });

  it('a way to the cached path that a URL parser makes out of a relayed one → none, each keeps its own route', async () => {
    // A check of the raw prefix followed by normalisation in the client would send /c/../r/x as /r/x.
    for (const target of ['/c/../r/x', '/r/../c/x', '/c/%2e%2e/r/x', '/c/..%2Fr/x', '/c/.%2e/r/x', '/r/./../c/x']) {
      expect(await outcomeOf(get(target))).toEqual(refusedWith(400));
    }
  });
});

describe('Admin paths on the data listener', () => {
  const paths = [
    '/',
    '/healthz',
    '/readyz',
    '/metrics',
    '/openapi.json',
    '/api/stored',
    '/api/metrics/cache',
    '/api/purge',
    '/api/warm',
    '/api/explain',
    '/api/metrics/cache/reset',
  ];

  it.each(paths)('%s → 404 by GET and by POST, nothing upstream', async (path) => {
    expect(await outcomeOf(get(path))).toEqual(refusedWith(404));
    const post = head(`POST ${path} HTTP/1.1`, 'Host: api.test', 'Connection: close', 'Content-Length: 13');
    expect(await outcomeOf(`${post}{"all": true}`)).toEqual(refusedWith(404));
  });

  it('the same where a route takes every path → upstream’s answer, never ours', async () => {
    await using open = await startStage({
      routes: '  - { name: everything, match: "/*", upstream: api, ttl: 10m }',
    });
    for (const path of paths) {
      const { replies } = await open.converse(get(path));
      expect(replies.map((reply) => reply.text)).toEqual([told('GET', path)]);
    }
  });

  it('PURGE on the data listener → relayed like any method, what is stored stays', async () => {
    await stage.converse(get('/c/purge-me'));
    const stored = await stage.stored();
    for (const method of ['PURGE', 'DELETE', 'POST']) {
      const bytes = head(`${method} /c/purge-me HTTP/1.1`, 'Host: api.test', 'Connection: close', 'Content-Length: 0');
      expect(await outcomeOf(bytes)).toMatchObject({ statuses: [200], upstream: ['/c/purge-me'] });
    }
    expect(await stage.stored()).toEqual(stored);
    const [again] = (await stage.converse(get('/c/purge-me'))).replies;
    expect(again?.field('cache-status')).toContain('hit');
  });

  it('the admin listener named by Host or by an absolute-form target → no way to it', async () => {
    const { host } = new URL(stage.admin);
    for (const bytes of [
      head('GET /api/stored HTTP/1.1', `Host: ${host}`, 'Connection: close'),
      head(`GET http://${host}/api/stored HTTP/1.1`, `Host: ${host}`, 'Connection: close'),
      head(`GET http://${host}/healthz HTTP/1.1`, 'Host: api.test', 'Connection: close'),
    ]) {
      expect(await outcomeOf(bytes)).toEqual(refusedWith(404));
    }
  });
});
