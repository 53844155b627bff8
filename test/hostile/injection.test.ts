import { describe, expect, it } from 'vitest';
import { buildFirst } from '../support/build-first.ts';
import { issuesOf, readConfig } from '../support/config-text.ts';
import { echo, get, head, startStage } from '../support/hostile.ts';
import { startOrigin } from '../support/origin.ts';
import { startProgram } from '../support/program.ts';
import { converse } from '../support/raw.ts';

buildFirst();

/** The configuration with these members of the upstream and of the route. */
function withMembers(upstream: string, route = ''): string {
  return `
upstreams:
  api: { origin: "http://127.0.0.1:1"${upstream === '' ? '' : `, ${upstream}`} }
routes:
  - { name: ruled, match: /c/:city, upstream: api, ttl: 10m${route === '' ? '' : `, ${route}`} }
`;
}

describe('Field injection through configuration', () => {
  it.each<[input: string, text: string]>([
    ['CR LF in the value of a field', withMembers('fields: { x-a: "b\\r\\nX-Evil: 1" }')],
    ['LF in the value of a field', withMembers('fields: { x-a: "b\\nX-Evil: 1" }')],
    ['NUL in the value of a field', withMembers('fields: { x-a: "b\\0" }')],
    ['a value beyond ASCII', withMembers('fields: { x-a: "\\u0100" }')],
    ['CR LF in the name of a field', withMembers('fields: { "x-a: b\\r\\nx-evil": c }')],
    ['a colon in the name of a field', withMembers('fields: { "x-a:": c }')],
    ['Transfer-Encoding as a field', withMembers('fields: { transfer-encoding: chunked }')],
    ['Content-Length as a field', withMembers('fields: { Content-Length: "0" }')],
    ['Host as a field', withMembers('fields: { host: evil.test }')],
    ['Connection as a field', withMembers('fields: { connection: x }')],
    ['CR LF in a credential field', withMembers('credentials: { headers: { x-a: "b\\r\\nX-Evil: 1" } }')],
    ['Host as a credential', withMembers('credentials: { headers: { host: evil } }')],
    ['an origin with user information', withMembers('').replace('127.0.0.1:1', 'a:b@127.0.0.1:1')],
    ['an origin with a path', withMembers('').replace('127.0.0.1:1', '127.0.0.1:1/evil')],
    ['an origin with CR LF', withMembers('').replace('127.0.0.1:1', '127.0.0.1:1\\r\\nX: y')],
    ['an origin of another scheme', withMembers('').replace('http:', 'file:')],
    ['forward with CR LF', withMembers('', 'forward: "/x\\r\\nX-Evil: 1"')],
    ['forward with a space', withMembers('', 'forward: "/x HTTP/1.1"')],
    ['forward with a dot segment', withMembers('', 'forward: "/a/../b"')],
    ['forward to another host', withMembers('', 'forward: "//evil.test/x"')],
    ['forward with a backslash', withMembers('', 'forward: "/\\\\evil.test/x"')],
    ['forward with a fragment', withMembers('', 'forward: "/x#y"')],
    ['a route name with CR LF', withMembers('').replace('name: ruled', 'name: "a\\r\\nb"')],
    ['a route name with a key separator', withMembers('').replace('name: ruled', 'name: "a|b"')],
    ['a keyed field that is none', withMembers('', 'headers: ["x: y"]')],
    ['a keyed framing field', withMembers('', 'headers: [transfer-encoding]')],
    ['a listen address with CR LF', `server: { listen: "127.0.0.1:0\\r\\n" }\n${withMembers('')}`],
  ])('%s → refused at start with its place', (_input, text) => {
    const issues = issuesOf(text);
    expect(issues.length).toBeGreaterThan(0);
    for (const issue of issues) {
      expect(issue).toMatch(/^\d+:\d+: /);
      expect(issue).toMatch(/^[ -~]*$/);
    }
  });

  it.each<[input: string, value: string]>([
    ['line ends', 'a\r\nX-Evil: 1'],
    ['a line end at the end, as files have it', 'token\n'],
    ['NUL', 'a\0b'],
    ['YAML', 'x" }, fields: { x-evil: "1'],
    ['another variable', '${OTHER}'],
  ])('%s in an environment variable → a value or refused, never structure', (_input, value) => {
    const text = withMembers('credentials: { headers: { x-key: "${KEY}" } }');
    const read = readConfig(text, { KEY: value, OTHER: 'evil' });
    const outcome = read.ok ? read.value.upstreams.get('api')?.credentials.headers.get('x-key') : 'refused';
    expect(['refused', value]).toContain(outcome);
    expect(read.ok ? [...(read.value.upstreams.get('api')?.fields.keys() ?? [])] : []).toEqual([]);
    expect(read.ok && /[\r\n\0]/.test(value)).toBe(false);
    // What is refused is not quoted: it may be the secret itself.
    expect(JSON.stringify(read.ok ? '' : read.error)).not.toContain('X-Evil');
  });

  it('__proto__ as a name of parameters, fields and tags → refused or a plain name, no prototype is touched', () => {
    const text = withMembers('fields: { __proto__: x }', 'query: { __proto__: { type: text } }, tags: ["{__proto__}"]');
    const read = readConfig(text);
    const probe: { readonly polluted?: unknown; readonly type?: unknown } = {};
    expect(probe.type).toBeUndefined();
    expect(read.ok ? [...(read.value.routes[0]?.params.keys() ?? [])] : ['__proto__']).toEqual(['__proto__']);
  });
});

describe('Injection into what the proxy itself writes', () => {
  it.each<[input: string, target: string]>([
    ['a line end', '/t?days=%0d%0aX-Evil:%201'],
    ['an escape sequence of terminals', '/t?%1b[31mdays=1'],
    ['markup', '/t?%3Cscript%3E=1&days=x'],
    ['quotes and braces', '/t?%22%7D=1&days=x'],
    ['text that runs backwards', '/t?%E2%80%AEdays=x'],
    ['a very long name', `/t?${'n'.repeat(3000)}=1`],
    ['a very long value', `/t?days=${'9'.repeat(3000)}`],
  ])(
    '%s in a parameter that is refused → a problem of printable ASCII, short, valid JSON, no field of its own',
    async (_input, target) => {
      await using stage = await startStage({
        routes:
          '  - { name: typed, match: /t, upstream: api, ttl: 10m, unknownQuery: reject, query: { days: { type: integer } } }',
      });
      const { replies } = await stage.converse(get(target));
      expect(replies.map((reply) => [reply.status, reply.field('content-type')])).toEqual([
        [400, 'application/problem+json'],
      ]);
      const [reply] = replies;
      expect(reply?.text).toMatch(/^[ -~]*\n$/);
      expect(reply?.text.length).toBeLessThan(3000);
      expect(reply?.field('x-evil')).toBeUndefined();
      expect(reply?.field('x-content-type-options')).toBe('nosniff');
      const problem: unknown = JSON.parse(reply?.text ?? '');
      expect(problem).toMatchObject({ status: 400 });
      await stage.sound();
    },
  );

  it('paths, hosts and methods of clients’ invention → no labels of their own in the metrics', async () => {
    await using stage = await startStage();
    const invented = ['/evil1', '/c/evil2', '/r/evil3', '/evil4"}%20999'];
    for (const target of invented) await stage.converse(get(target));
    await stage.converse(head('PROPFIND /r/evil5 HTTP/1.1', 'Host: evil6.test', 'Connection: close'));
    const { body } = await stage.call('GET', '/metrics');
    expect(String(body)).toContain('forecache_requests_total');
    expect(String(body)).not.toContain('evil');
  });

  it('Cache-Status, Via and Location of upstream’s that try to speak for us → ours stands apart and says the truth', async () => {
    await using stage = await startStage({
      script: (_request, peer) =>
        peer.respond(
          200,
          { 'Cache-Status': 'forecache; hit; ttl=999', Via: '1.1 forecache', Age: '5', Warning: '110 - "x"' },
          'x',
        ),
    });
    const [first] = (await stage.converse(get('/c/x'))).replies;
    expect(first?.field('cache-status')).toMatch(/^forecache; fwd=uri-miss; stored$/);
    const [second] = (await stage.converse(get('/c/x'))).replies;
    expect(second?.field('cache-status')).toMatch(/^forecache; hit; ttl=\d+; detail=memory$/);
  });
});

/** Ends a line somewhere, moves a cursor or turns text round; line feed apart. */
function isUnsafe(char: string): boolean {
  const code = char.charCodeAt(0);
  return (code < 0x20 && char !== '\n') || (code >= 0x7f && code <= 0x9f) || /[\u2028\u2029\u202e]/.test(char);
}

describe('Log injection', () => {
  it('line ends, escapes, quotes and secrets in everything that is logged → one JSON object a line, none of it ours to read wrongly', async () => {
    await using origin = await startOrigin(echo);
    await using program = await startProgram({
      config: {
        text: `
server: { listen: "\${FORECACHE_LISTEN}" }
admin: { listen: "\${FORECACHE_ADMIN_LISTEN}", token: "adm1n-s3cr3t" }
log: { level: debug, requests: true }
upstreams:
  api: { origin: "${origin.url}", timeout: 5s, credentials: { query: { apikey: "k3y-s3cr3t" } } }
routes:
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, secret: [token] }
  - { name: relayed, match: /r/*, upstream: api, cache: off }
`,
      },
    });
    const attacks = [
      get('/c/x%0a{"level":"error","msg":"forged"}'),
      get('/c/x?y=%0d%0a{"level":"error","msg":"forged"}&token=cl13nt-s3cr3t'),
      get('/c/x?y=%1b[2J%E2%80%A8%C2%85&apikey=k3y-s3cr3t'),
      get('/c/x"},{"forged":1'),
      get('/r/x?y="}{"forged":1&token=k3y-s3cr3t'),
      get('/r/%22%7D%0A'),
      get('/c/x', 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}{"forged":1'),
      get('/c/y', `traceparent: ${'a'.repeat(4000)}`),
      get('/c/z', 'Authorization: Bearer cl13nt-s3cr3t', 'Cookie: id=cl13nt-s3cr3t'),
      head('PROPFIND /r/x HTTP/1.1', 'Host: "forged"', 'Connection: close'),
      'GET /c/x HTTP/1.1\r\nHost: a\r\nX: \x1b[31m\r\n\r\n',
      'forged\r\n\r\n',
    ];
    for (const attack of attacks) await converse(program.proxy, attack);
    const { code } = await program.stopAtOnce();
    expect(code).toBe(0);
    const lines = program
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) {
      const parsed: unknown = JSON.parse(line);
      expect(parsed).not.toHaveProperty('forged');
      expect(parsed).not.toMatchObject({ msg: 'forged' });
    }
    const rest = program
      .output()
      .split('\n')
      .filter((line) => !line.startsWith('{') && line !== '');
    expect(rest.filter((line) => !line.includes('admin http://'))).toEqual([]);
    expect(program.output().split('').filter(isUnsafe)).toEqual([]);
    expect(program.output()).not.toMatch(/k3y-s3cr3t|adm1n-s3cr3t|cl13nt-s3cr3t/);
  });
});
