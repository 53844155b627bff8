import { setImmediate as nextTurn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

import { type CodedContent, decodedBytesOf, MAX_DECODED_AT_ONCE } from '../../src/cache/decoded-contents.ts';
import { UpstreamBodyError } from '../../src/cache/upstream-ports.ts';
import { decodedContents } from '../support/decoded.ts';
import { honourRoute, routeOf } from '../support/policy.ts';

const MiB = 1024 * 1024;

/** A client whose answer is over when the test says so. */
class Client {
  #callbacks: (() => void)[] = [];
  #isOver = false;

  whenOver(callback: () => void): void {
    if (this.#isOver) callback();
    else this.#callbacks.push(callback);
  }

  over(): this {
    this.#isOver = true;
    for (const callback of this.#callbacks.splice(0)) callback();
    return this;
  }
}

/** A decoder whose pieces come when the test says so. */
class Scripted {
  readonly limits: string[] = [];
  readonly begun: string[] = [];
  readonly ended: string[] = [];
  readonly #gates = new Map<string, PromiseWithResolvers<number>>();

  readonly contents;

  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    const pieces = (coding: string, body: Buffer): AsyncIterable<Buffer> | undefined =>
      coding === 'gzip' ? this.#pieces(body.toString()) : undefined;
    this.contents = decodedContents({
      decoder: { decode: () => undefined, pieces },
      maxBytes,
      observer: { limit: (option) => void this.limits.push(option) },
    });
  }

  /** So many bytes more of what is coded so. `0`: that was all. Below: it fails. */
  async give(name: string, bytes: number): Promise<void> {
    const gate = this.#gate(name);
    this.#gates.delete(name);
    gate.resolve(bytes);
    await nextTurn();
  }

  async *#pieces(name: string): AsyncGenerator<Buffer, void, void> {
    this.begun.push(name);
    try {
      for (let bytes = await this.#gate(name).promise; bytes !== 0; bytes = await this.#gate(name).promise) {
        if (bytes < 0) throw new UpstreamBodyError('malformed', 'no such coding');
        yield Buffer.alloc(bytes, name);
      }
    } finally {
      this.ended.push(name);
    }
  }

  #gate(name: string): PromiseWithResolvers<number> {
    const known = this.#gates.get(name) ?? Promise.withResolvers<number>();
    this.#gates.set(name, known);
    return known;
  }
}

function coded(name: string, more: Partial<CodedContent> = {}): CodedContent {
  return { key: name, coding: 'gzip', body: Buffer.from(name), maxBytes: MiB, ...more };
}

/** What becomes of it, in a word. */
function fate(result: Promise<Buffer> | undefined): { now: string } {
  const seen = { now: 'waits' };
  result?.then(
    (bytes) => void (seen.now = `${bytes.length} bytes`),
    (error: unknown) => void (seen.now = error instanceof Error ? error.constructor.name : 'thrown'),
  );
  return seen;
}

describe('content whose coding clients rule out', () => {
  it('is decoded once for all who ask while anybody waits for it or has not been sent it', async () => {
    const { contents, ...scripted } = rig();
    const clients = Array.from({ length: 150 }, () => new Client());
    // Each time that it is read its bytes may lie elsewhere.
    const asked = clients.map((client) => contents.decode(coded('a', { body: Buffer.from('a') }), client));
    await scripted.give('a', 100);
    await scripted.give('a', 0);
    const [first, ...others] = await Promise.all(asked.map((one) => Promise.resolve(one)));
    expect(others.every((one) => one === first)).toBe(true);
    expect(await contents.decode(coded('a'), new Client())).toBe(first);
    expect(scripted.begun()).toEqual(['a']);
  });

  it('is decoded anew where all have been sent it, or other content has its key', async () => {
    const { contents, ...scripted } = rig();
    const client = new Client();
    const first = contents.decode(coded('a'), client);
    await scripted.give('a', 0);
    expect((await first)?.length).toBe(0);
    const other = contents.decode(coded('a', { body: Buffer.from('b') }), new Client());
    const larger = contents.decode(coded('a', { maxBytes: 2 * MiB }), new Client());
    await scripted.give('b', 3);
    await scripted.give('b', 0);
    await scripted.give('a', 5);
    await scripted.give('a', 0);
    expect([(await other)?.length, (await larger)?.length]).toEqual([3, 5]);
    client.over();
    void contents.decode(coded('a'), new Client());
    expect(scripted.begun()).toEqual(['a', 'b', 'a', 'a']);
  });

  it('has exactly its bytes until they are sent, one byte more is refused and counted', async () => {
    const { contents, limits, ...scripted } = rig(10_000);
    const first = new Client();
    const held = contents.decode(coded('a'), first);
    await scripted.give('a', 5000);
    await scripted.give('a', 0);
    expect((await held)?.length).toBe(5000);
    // While it is joined it is there twice.
    const client = new Client();
    const exact = contents.decode(coded('c'), client);
    await scripted.give('c', 2500);
    await scripted.give('c', 0);
    expect((await exact)?.length).toBe(2500);
    client.over();
    const past = contents.decode(coded('d'), new Client());
    const refused = past?.catch((error: unknown) => contents.problemOf(error));
    await scripted.give('d', 2501);
    await scripted.give('d', 0);
    expect(await refused).toMatchObject({
      status: 429,
      code: 'too-much-decoded',
      retryAfter: 1,
      extra: { limit: 10_000 },
    });
    expect(limits).toEqual(['server.decodedBytes']);
    // What is refused gives back what it had, and so does what has been sent.
    first.over();
    const whole = contents.decode(coded('d'), new Client());
    await scripted.give('d', 5000);
    await scripted.give('d', 0);
    expect((await whole)?.length).toBe(5000);
  });

  it('is ended in the middle where all who asked have gone, and gives its bytes back', async () => {
    const { contents, ...scripted } = rig(20_000);
    const [one, two] = [new Client(), new Client()];
    const fates = [one, two].map((client) => fate(contents.decode(coded('a'), client)));
    await scripted.give('a', 9000);
    one.over();
    await scripted.give('a', 500);
    expect(scripted.ended()).toEqual([]);
    two.over();
    await scripted.give('a', 400);
    expect([scripted.ended(), fates.map((each) => each.now)]).toEqual([['a'], ['Abandoned', 'Abandoned']]);
    const again = contents.decode(coded('a'), new Client());
    await scripted.give('a', 10_000);
    await scripted.give('a', 0);
    expect((await again)?.length).toBe(10_000);
  });

  it('counts until its decoding has ended where all who asked have gone, and no longer', async () => {
    const { contents, ...scripted } = rig(10_000);
    const client = new Client();
    const gone = fate(contents.decode(coded('a'), client));
    await scripted.give('a', 5000);
    client.over();
    const past = contents.decode(coded('b'), new Client());
    const refused = past?.catch((error: unknown) => contents.problemOf(error));
    await scripted.give('b', 5001);
    expect(await refused).toMatchObject({ code: 'too-much-decoded' });
    // It was all there is, so that nothing more comes by which it would be noticed.
    await scripted.give('a', 0);
    expect(gone.now).toBe('5000 bytes');
    const later = contents.decode(coded('c'), new Client());
    await scripted.give('c', 5000);
    await scripted.give('c', 0);
    expect((await later)?.length).toBe(5000);
  });

  it('is decoded for exactly four responses at once, others wait in order and are never begun where nobody waits', async () => {
    const { contents, ...scripted } = rig();
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const clients = names.map(() => new Client());
    const fates = names.map((name, index) => fate(contents.decode(coded(name), clients[index])));
    await nextTurn();
    expect(scripted.begun()).toEqual(names.slice(0, MAX_DECODED_AT_ONCE));
    expect(MAX_DECODED_AT_ONCE).toBe(4);
    clients[4]?.over();
    await scripted.give('b', 0);
    await scripted.give('a', -1);
    expect(scripted.begun()).toEqual(['a', 'b', 'c', 'd', 'f', 'g']);
    expect(fates.map((each) => each.now)).toEqual([
      'UpstreamBodyError',
      '0 bytes',
      'waits',
      'waits',
      'Abandoned',
      'waits',
      'waits',
    ]);
  });

  it('that fails fails for all who wait, and is tried anew for who comes later', async () => {
    const { contents, limits, ...scripted } = rig();
    const asked = [new Client(), new Client()].map((client) => fate(contents.decode(coded('a'), client)));
    await scripted.give('a', -1);
    expect(asked.map((each) => each.now)).toEqual(['UpstreamBodyError', 'UpstreamBodyError']);
    expect(contents.problemOf(new UpstreamBodyError('malformed', 'no such coding'))).toBeUndefined();
    const later = contents.decode(coded('a'), new Client());
    await scripted.give('a', 7);
    await scripted.give('a', 0);
    expect([(await later)?.length, limits]).toEqual([7, []]);
  });

  it('counts until it is there where no client is known, and is none of a coding that is not known', async () => {
    const { contents, ...scripted } = rig(100);
    for (const name of ['a', 'b', 'c']) {
      const asked = contents.decode(coded(name), undefined);
      await scripted.give(name, 50);
      await scripted.give(name, 0);
      expect((await asked)?.length).toBe(50);
    }
    const unknown = coded('a', { coding: 'dcb' });
    expect([contents.knows(unknown), contents.decode(unknown, new Client()), contents.knows(coded('a'))]).toEqual([
      false,
      undefined,
      true,
    ]);
    expect(scripted.begun()).toEqual(['a', 'b', 'c']);
  });

  it('comes out as it went in', async () => {
    const plain = Buffer.from('{"numbers":[1,2,3]}'.repeat(20_000));
    const content = coded('a', { body: gzipSync(plain) });
    expect(await decodedContents().decode(content, new Client())).toEqual(plain);
  });
});

function store(maxBytes: number) {
  return { memory: { maxBytes }, redis: undefined };
}

describe('how much may be decoded and not yet sent', () => {
  it('is a quarter of the memory tier', () => {
    const routes = [honourRoute({ maxStoredBytes: 8 * MiB })];
    expect(decodedBytesOf({ store: store(256 * MiB), routes })).toBe(64 * MiB);
  });

  it('is twice the largest response of an honour route where that is more, since all others are stored without coding', () => {
    const routes = [
      routeOf({ maxStoredBytes: 100 * MiB }),
      honourRoute({ maxStoredBytes: MiB }),
      honourRoute({ maxStoredBytes: 8 * MiB }),
    ];
    expect(decodedBytesOf({ store: store(16 * MiB), routes })).toBe(16 * MiB);
    expect(decodedBytesOf({ store: store(16 * MiB), routes: routes.slice(0, 1) })).toBe(4 * MiB);
  });
});

function rig(maxBytes?: number) {
  const scripted = new Scripted(maxBytes);
  return {
    contents: scripted.contents,
    limits: scripted.limits,
    give: (name: string, bytes: number) => scripted.give(name, bytes),
    begun: () => scripted.begun,
    ended: () => scripted.ended,
  };
}
