import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { echo, get, startStage, told, type Stage } from '../support/hostile.ts';
import { chunk, type Framing, inTurn, lastChunk, type OriginScript, truncated } from '../support/origin.ts';

const routes = `
  - { name: ruled, match: /c/*, upstream: api, ttl: 10m }
  - { name: honoured, match: /h/*, upstream: api, upstreamCacheControl: honour, ttl: 10m }
  - { name: relayed, match: /r/*, upstream: api, cache: off }`;

const kinds = ['c', 'h', 'r'] as const;

/** Script: these bytes, then FIN unless told otherwise. */
function bytes(text: string | Buffer, end: 'fin' | 'rst' | 'stay' = 'fin'): OriginScript {
  return async (_request, peer) => {
    await peer.write(text);
    if (end === 'fin') peer.end();
    else if (end === 'rst') peer.reset();
  };
}

/** Whether a client that reads strictly would take what it got for a complete 200. */
async function asked(
  stage: Stage,
  target: string,
): Promise<{ status: number | undefined; complete: boolean; text: string }> {
  const { replies, rest, end } = await stage.converse(get(target));
  const [reply] = replies;
  // A close-delimited answer is complete only by an orderly end.
  const complete = reply !== undefined && rest.length === 0 && end === 'fin';
  return { status: reply?.status, complete, text: reply?.text ?? rest.toString('latin1') };
}

/** What follows a fault: nothing stored, the next request gets upstream's answer, the proxy sound. */
async function expectRecovery(stage: Stage, target: string): Promise<void> {
  expect(await stage.stored()).toEqual([]);
  stage.origin.script(echo);
  expect(await asked(stage, target)).toEqual({ status: 200, complete: true, text: told('GET', target) });
  await stage.sound();
}

describe('Upstream cuts its answer short', () => {
  const cuts = (['content-length', 'chunked'] as const).flatMap((framing) =>
    (['FIN', 'RST'] as const).flatMap((how) => kinds.map((kind) => [framing, how, kind] as const)),
  );

  it.each(cuts)(
    '%s framing cut by %s on /%s → 502 or a connection that is cut too, never complete, never stored',
    async (framing, how, kind) => {
      await using stage = await startStage({ routes, script: truncated(framing, how === 'FIN' ? 'fin' : 'rst') });
      const target = `/${kind}/x`;
      const answer = await asked(stage, target);
      expect(answer.status === 200 && answer.complete).toBe(false);
      await expectRecovery(stage, target);
    },
  );

  it.each(kinds)(
    'a close-delimited answer cut by RST on /%s → not stored, though undici and node:http call it complete',
    async (kind) => {
      await using stage = await startStage({ routes, script: truncated('close', 'rst') });
      const answer = await asked(stage, `/${kind}/x`);
      expect([200, 502, undefined]).toContain(answer.status);
      await expectRecovery(stage, `/${kind}/x`);
    },
  );

  it.each(kinds)(
    'a close-delimited answer ended by FIN on /%s → passed on whole, not stored: its end cannot be told from a cut',
    async (kind) => {
      await using stage = await startStage({ routes, script: truncated('close', 'fin', 'whole') });
      expect(await asked(stage, `/${kind}/x`)).toEqual({ status: 200, complete: true, text: 'whole' });
      await expectRecovery(stage, `/${kind}/x`);
    },
  );

  it.each(kinds)('the head cut, byte by byte, by FIN and by RST on /%s → 502', async (kind) => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n';
    await using stage = await startStage({ routes });
    for (const how of ['fin', 'rst'] as const) {
      for (const size of [0, 1, 8, 9, 12, 15, 17, 20, 33, 35, 36, 37]) {
        stage.origin.script(bytes(head.slice(0, size), how));
        expect([how, size, (await asked(stage, `/${kind}/x`)).status]).toEqual([how, size, 502]);
      }
    }
    await expectRecovery(stage, `/${kind}/x`);
  });

  it('a cut answer where a stale one is stored → the stale one, and it stays', async () => {
    await using stage = await startStage({
      routes: '  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, staleIfError: 1h }',
      script: echo,
    });
    await stage.converse(get('/c/x'));
    await stage.call('POST', '/api/purge', { all: true, soft: true });
    for (const framing of ['content-length', 'chunked'] satisfies Framing[]) {
      for (const how of ['fin', 'rst'] as const) {
        stage.origin.script(truncated(framing, how));
        expect(await asked(stage, '/c/x')).toEqual({ status: 200, complete: true, text: told('GET', '/c/x') });
      }
    }
    expect(await stage.stored()).toHaveLength(1);
  });

  it('a streamed answer past maxStoredBytes, cut → the client’s connection is cut too', async () => {
    for (const framing of ['content-length', 'chunked'] satisfies Framing[]) {
      await using stage = await startStage({
        routes: '  - { name: ruled, match: /c/*, upstream: api, ttl: 10m, maxStoredBytes: 1KiB }',
        script: truncated(framing, 'rst', 'z'.repeat(100_000)),
      });
      expect(await asked(stage, '/c/x')).toMatchObject({ complete: false });
      await expectRecovery(stage, '/c/x');
    }
  });

  it('a coded body cut inside its coding although its framing is whole → 502, not stored', async () => {
    const coded = gzipSync('x'.repeat(10_000)).subarray(0, 30);
    await using stage = await startStage({
      routes,
      script: (_request, peer) => peer.respond(200, { 'Content-Encoding': 'gzip' }, coded),
    });
    expect(await asked(stage, '/c/x')).toMatchObject({ status: 502 });
    await expectRecovery(stage, '/c/x');
  });

  it('a kept connection that upstream resets under the next request → that GET is sent once more, a POST is not', async () => {
    await using stage = await startStage({ routes });
    await stage.converse(get('/c/warm'));
    stage.origin.script(
      inTurn(
        (_request, peer) => peer.reset(),
        (request, peer) => echo(request, peer),
      ),
    );
    expect(await asked(stage, '/c/again')).toMatchObject({ status: 200, complete: true });
    expect(stage.asked()).toEqual(['/c/warm', '/c/again', '/c/again']);
    stage.origin.script((_request, peer) => peer.reset());
    const post = 'POST /r/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx';
    const { replies } = await stage.converse(post);
    expect(replies.map((reply) => reply.status)).toEqual([502]);
    expect(stage.asked().filter((target) => target === '/r/x')).toHaveLength(1);
  });
});

describe('Upstream answers with what is no HTTP/1.1', () => {
  const ok = 'HTTP/1.1 200 OK\r\n';
  it.each<[input: string, answer: string | Buffer]>([
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
    ['a bare body, as in HTTP/0.9', '<html>hello</html>'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nab'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nab'],
    ['a status that is no number', 'HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nab'],
    ['two lengths that differ', `${ok}Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc`],
    ['a length and chunks', `${ok}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n`],
    ['a length below zero', `${ok}Content-Length: -2\r\n\r\nab`],
    ['a length with a plus', `${ok}Content-Length: +2\r\n\r\nab`],
    ['a length past 2^64', `${ok}Content-Length: 18446744073709551618\r\n\r\nab`],
    ['a coding that nobody knows', `${ok}Transfer-Encoding: evil\r\n\r\nab`],
    ['gzip as a transfer coding', `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n`],
    ['a chunk size that is none', `${ok}Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n`],
    ['a chunk longer than its size', `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`],
    ['a field name with a space', `${ok}X Y: a\r\nContent-Length: 2\r\n\r\nab`],
    ['CR inside a value', `${ok}X: a\rSet-Cookie: evil\r\nContent-Length: 2\r\n\r\nab`],
    ['LF alone behind a value', `${ok}X: a\nSet-Cookie: evil\r\nContent-Length: 2\r\n\r\nab`],
    ['NUL inside a value', `${ok}X: a\0b\r\nContent-Length: 2\r\n\r\nab`],
    ['an endless field', `${ok}X: ${'a'.repeat(100_000)}`],
    ['endless fields', `${ok}${'X: a\r\n'.repeat(20_000)}`],
    [
      'a switch of protocols that nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\nab',
    ],
  ])('%s → 502 or a cut connection on every kind of route, nothing stored', async (_input, answer) => {
    for (const kind of kinds) {
      await using stage = await startStage({ routes, script: bytes(answer) });
      const got = await asked(stage, `/${kind}/x`);
      expect([kind, got.status === 200 && got.complete]).toEqual([kind, false]);
      expect(got.text).not.toMatch(/^(?:ab|abc)$/);
      await expectRecovery(stage, `/${kind}/x`);
    }
  });

  it('bytes behind a complete answer on a kept connection → never taken for the next answer', async () => {
    for (const kind of kinds) {
      await using stage = await startStage({ routes });
      const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
      stage.origin.script(bytes(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood${evil}`, 'stay'));
      const first = await asked(stage, `/${kind}/1`);
      expect(['good', expect.stringContaining('502')]).toContainEqual(first.status === 200 ? first.text : '502');
      stage.origin.script(echo);
      for (const number of [2, 3, 4]) {
        const next = await asked(stage, `/${kind}/${number}`);
        expect(next.text).toBe(told('GET', `/${kind}/${number}`));
      }
      expect((await stage.stored()).length).toBeLessThanOrEqual(4);
    }
  });

  it('content behind a 204 and a 304 → never taken for the next answer', async () => {
    for (const kind of kinds) {
      for (const status of [204, 304]) {
        await using stage = await startStage({ routes });
        stage.origin.script(
          bytes(
            `HTTP/1.1 ${status} X\r\nContent-Length: 42\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
            'stay',
          ),
        );
        await asked(stage, `/${kind}/1`);
        stage.origin.script(echo);
        for (const number of [2, 3]) {
          expect((await asked(stage, `/${kind}/${number}`)).text).toBe(told('GET', `/${kind}/${number}`));
        }
      }
    }
  });

  it('a 304 to a request without a condition → not taken for a stored answer', async () => {
    await using stage = await startStage({ routes, script: bytes('HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n') });
    for (const kind of kinds) expect((await asked(stage, `/${kind}/x`)).status).not.toBe(200);
    expect(await stage.stored()).toEqual([]);
  });

  it('a hundred interim answers and then a final one → the final one whole, sixteen others before it on honour and relayed routes, none on ruled ones', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\nConnection: x-hop\r\nX-Hop: evil\r\n\r\n'.repeat(100);
    for (const kind of kinds) {
      await using stage = await startStage({
        routes,
        script: bytes(`${hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab`),
      });
      const { replies, interim, rest, end } = await stage.converse(get(`/${kind}/x`));
      expect([rest.length, end]).toEqual([0, 'fin']);
      expect(replies.map(({ status, text }) => [status, text])).toEqual([[200, 'ab']]);
      expect(replies[0]?.head).not.toMatch(/evil/);
      const passed = Array.from({ length: kind === 'c' ? 0 : 16 }, () => [103, [['link', '</evil>']]]);
      expect(interim.map(({ status, lines }) => [status, lines])).toEqual(passed);
      await stage.sound();
    }
  });

  it('chunks with extensions and trailers → the content alone; a trailer is no field', async () => {
    for (const kind of kinds) {
      await using stage = await startStage({
        routes,
        script: bytes(
          Buffer.concat([
            Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n'),
            chunk('ab'),
            Buffer.from(
              `2;evil="x"\r\ncd\r\n${lastChunk.slice(0, 3)}Set-Cookie: evil\r\nCache-Control: no-store\r\n\r\n`,
            ),
          ]),
        ),
      });
      const { replies } = await stage.converse(get(`/${kind}/x`));
      expect(replies.map((reply) => reply.text)).toEqual(['abcd']);
      expect(replies[0]?.head).not.toMatch(/evil|trailer/i);
    }
  });

  it('a field value in latin-1 and UTF-8 → passed on byte for byte', async () => {
    for (const kind of kinds) {
      await using stage = await startStage({
        routes,
        script: bytes(
          Buffer.from('HTTP/1.1 200 OK\r\nX-Name: M\xfcnchen \xc3\xa4\r\nContent-Length: 2\r\n\r\nab', 'latin1'),
        ),
      });
      const { replies } = await stage.converse(get(`/${kind}/x`, 'X-Name: \xfc'));
      expect(replies[0]?.field('x-name')).toBe('M\xfcnchen \xc3\xa4');
      const sent = stage.origin.requests.map((request) => request.field('x-name'));
      expect(sent).toEqual([kind === 'r' ? '\xfc' : undefined]);
    }
  });

  it('__proto__ and constructor as fields of upstream’s → fields like any other', async () => {
    for (const kind of kinds) {
      await using stage = await startStage({
        routes,
        script: bytes('HTTP/1.1 200 OK\r\n__proto__: a\r\nconstructor: b\r\nContent-Length: 2\r\n\r\nab'),
      });
      const { replies } = await stage.converse(get(`/${kind}/x`));
      expect([replies[0]?.field('__proto__'), replies[0]?.field('constructor')]).toEqual(['a', 'b']);
      await stage.sound();
    }
  });
});
