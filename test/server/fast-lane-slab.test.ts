import { describe, expect, it } from 'vitest';

import type { ProxyResponse, Repeat } from '../../src/cache/ports.ts';
import { AnswerWriter } from '../../src/server/fast-lane-answer.ts';
import { type HeadFacts, type KnownHead, KnownHeads } from '../../src/server/fast-lane-heads.ts';
import { HeadRows } from '../../src/server/fast-lane-rows.ts';
import { Lending } from '../../src/server/fast-lane-lending.ts';
import { BLOCK_BYTES, type Block, type Resident, Slab } from '../../src/server/fast-lane-slab.ts';
import { metaOfHit } from '../support/fast-lane.ts';
import { Dice } from '../support/spellings.ts';

const writer = new AnswerWriter({ keepAliveMs: 5000 });

/** An answer that is as old as the clock says, for a second at a time. */
function factsOf(size: number, letter: string): HeadFacts & { readonly textAt: (nowMs: number) => string } {
  const fields = (age: number): ProxyResponse['fields'] => [
    ['date', 'x'],
    ['age', String(age)],
    ['content-length', String(size)],
    ['cache-status', `forecache; hit; ttl=${1_000_000 - age}`],
  ];
  const body = Buffer.alloc(size, letter);
  const meta = metaOfHit;
  const repeat: Repeat = {
    ageLine: 1,
    ttlFrom: 'forecache; hit; ttl='.length,
    madeOf: undefined,
    at: (nowMs) => {
      const ageSeconds = Math.floor(nowMs / 1000);
      const sinceMs = ageSeconds * 1000;
      return {
        ageSeconds,
        ttlSeconds: 1_000_000 - ageSeconds,
        sinceMs,
        untilMs: sinceMs + 1000,
        lastMs: sinceMs + 999,
      };
    },
    again: () => true,
  };
  const response: ProxyResponse = { status: 200, fields: fields(0), body: { kind: 'bytes', bytes: body }, meta };
  const wire = writer.wireOf(response, repeat);
  const textAt = (nowMs: number): string => {
    const lines = fields(Math.floor(nowMs / 1000)).map(([name, value]) => `${name}: ${value}\r\n`);
    const end = 'Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n';
    return `HTTP/1.1 200 OK\r\n${lines.join('')}${end}${size <= 16_384 ? letter.repeat(size) : ''}`;
  };
  return {
    repeat,
    wire,
    method: 'GET',
    traceId: undefined,
    listener: 'a',
    status: 200,
    meta,
    repeats: undefined,
    textAt,
  };
}

const headOf = (index: number): Buffer => Buffer.from(`GET /${'p'.repeat(index % 50)}${index} HTTP/1.1\r\n\r\n`);

describe('Heads and answers in blocks', () => {
  it('are those that were kept, whatever comes, goes, is moved and has digits more or less', () => {
    const trial = new Trial();
    for (let step = 0; step < 30_000; step += 1) trial.step();
    for (const { bytes, text } of trial.lent) {
      if (bytes.toString('latin1') !== text) trial.wrong.push(text.slice(0, 200));
    }
    expect(trial.lent.length).toBeGreaterThan(100);
    expect(trial.wrong).toEqual([]);
  });

  it('keep no more that is dead than an eighth of what is in use, or a block', () => {
    const dice = new Dice(11);
    const slab = new Slab();
    const live: Piece[] = [];
    let used = 0;
    let most = 0;
    for (let step = 0; step < 50_000; step += 1) {
      const bytes = 1 + dice.roll(3000);
      if (dice.roll(200) < 101) {
        live.push(new Piece(slab, bytes));
        used += Math.ceil(bytes / 8) * 8;
      } else {
        const [gone] = live.splice(dice.roll(live.length || 1), 1);
        gone?.end();
        used -= gone === undefined ? 0 : Math.ceil(gone.bytes / 8) * 8;
      }
      expect(slab.dead).toBeLessThanOrEqual(Math.max(BLOCK_BYTES, used / 8));
      // And a block that is being filled, and what did not fit behind the last one of each.
      most = Math.max(
        most,
        slab.bytes - Math.max(BLOCK_BYTES, used / 8) - used * (1 + 3000 / BLOCK_BYTES) - BLOCK_BYTES,
      );
    }
    expect(most).toBeLessThanOrEqual(0);
    for (const piece of live) piece.end();
    expect(slab.bytes).toBeLessThanOrEqual(2 * BLOCK_BYTES);
    expect(slab.dead).toBeLessThanOrEqual(BLOCK_BYTES);
  });

  it('keep an eighth of much that is in use dead before any of it is moved, and no more', () => {
    const dice = new Dice(5);
    const slab = new Slab();
    const live = Array.from({ length: 16_000 }, () => new Piece(slab, 1000));
    let most = 0;
    let isPast = false;
    while (live.length > 4000) {
      const at = dice.roll(live.length);
      const [gone, last] = [live[at], live.pop()];
      if (last !== undefined && at < live.length) live[at] = last;
      gone?.end();
      most = Math.max(most, slab.dead);
      isPast ||= slab.dead > Math.max(BLOCK_BYTES, (live.length * 1000) / 8);
    }
    expect(isPast).toBe(false);
    expect(most).toBeGreaterThan(6 * BLOCK_BYTES);
  });

  it('go with the last that is used of their block, whose number the next one has', () => {
    const slab = new Slab();
    for (let round = 0; round < 5; round += 1) {
      const all = Array.from({ length: 40 }, () => new Piece(slab, BLOCK_BYTES / 16));
      for (const piece of all) piece.end();
      expect(slab.bytes).toBe(BLOCK_BYTES);
      expect([3, 4, 5].map((number) => slab.get(number))).toEqual([undefined, undefined, undefined]);
    }
  });

  it('are of up to a quarter of a block', () => {
    const slab = new Slab();
    const resident = { leave: () => undefined };
    expect(slab.take(16 * 1024, resident)).toBeDefined();
    expect(slab.take(16 * 1024 + 1, resident)).toBeUndefined();
  });

  it('lends the bytes of exactly 64 answers that are under way, and a copy of one that is more', () => {
    const lending = new Lending();
    const wires = Array.from({ length: 66 }, () => factsOf(10, 'x').wire);
    const lent = wires.map((wire) => {
      const bytes = lending.bytesOf(wire);
      expect(bytes.equals(wire.first)).toBe(true);
      return { wire, isOwn: bytes !== wire.first, giveBack: lending.lend(wire, bytes) };
    });
    expect(lent.map(({ isOwn }) => isOwn)).toEqual([...Array.from({ length: 64 }, () => false), true, true]);
    // What is written in its place again must not be under way.
    expect(lent.map(({ wire }) => wire.isLent)).toEqual(lent.map(({ isOwn }) => !isOwn));
    lent.at(-1)?.giveBack();
    const isCopied = (): boolean => lending.bytesOf(wires[0] ?? factsOf(1, 'x').wire) !== wires[0]?.first;
    expect(isCopied()).toBe(true);
    lent[0]?.giveBack();
    expect(isCopied()).toBe(false);
  });

  it('say what is right of one answer to several heads, also where the clock is set back', () => {
    const heads = new KnownHeads(1_000_000);
    const facts = factsOf(10, 'x');
    for (const index of [1, 2]) heads.remember(headOf(index), facts);
    for (const [index, nowMs] of [
      [1, 5000],
      [2, 9500],
      [1, 5000],
      [2, 9500],
      [2, 10_000],
      [1, 9500],
      [2, 9500],
    ] as const) {
      const known = heads.find(headOf(index));
      if (known === undefined) throw new Error('it is not known');
      expect(heads.turnTo(known, nowMs)).toBe(true);
      expect([index, known.wire.first.toString()]).toEqual([index, facts.textAt(nowMs)]);
    }
  });

  it('say nothing of what another said in whose place one of them came', () => {
    const heads = new KnownHeads(1_000_000);
    const [gone, facts] = [factsOf(10, 'x'), factsOf(10, 'y')];
    const turn = (index: number, nowMs: number) => {
      const known = heads.find(headOf(index));
      if (known === undefined) throw new Error('it is not known');
      expect(heads.turnTo(known, nowMs)).toBe(true);
      return known;
    };
    heads.remember(headOf(1), gone);
    heads.remember(headOf(2), facts);
    turn(2, 5000);
    heads.forget(turn(1, 9500));
    heads.remember(headOf(3), facts);
    expect(turn(3, 9500).wire.first.toString()).toBe(facts.textAt(9500));
  });

  it('are found by their bytes among thousands, and no others', () => {
    const heads = new KnownHeads(50_000_000);
    const wires = new Map<number, HeadFacts['wire']>();
    for (let index = 0; index < 5000; index += 1) {
      const facts = factsOf(1, 'x');
      wires.set(index, facts.wire);
      heads.remember(headOf(index), facts);
    }
    for (let index = 0; index < 5000; index += 3) {
      const known = heads.find(headOf(index));
      if (known !== undefined) heads.forget(known);
      wires.delete(index);
    }
    const found = Array.from({ length: 6000 }, (_none, index) => heads.find(headOf(index))?.wire === wires.get(index));
    expect(found.filter(Boolean)).toHaveLength(6000);
    expect(heads.size).toBe(wires.size);
  });
});

describe('Known heads', () => {
  it('and their answers are in as few blocks as they need, each answer behind its head, however many came and went', () => {
    const slab = new Slab();
    const heads = new KnownHeads(1_000_000, slab);
    let wrong = 0;
    let most = 0;
    for (let index = 0; index < 20_000; index += 1) {
      const facts = factsOf(1000, 'x');
      heads.remember(headOf(index), facts);
      const { buffer, byteOffset } = facts.wire.first;
      if (buffer.byteLength !== BLOCK_BYTES) wrong += 1;
      // The first of a block may be apart from its head.
      const isHere = Buffer.from(buffer, 0, byteOffset).subarray(-64).includes(headOf(index).subarray(-30));
      if (byteOffset > 0 && !isHere) wrong += 1;
      most = Math.max(most, slab.bytes);
    }
    expect(wrong).toBe(0);
    // Each is counted with 1,500 bytes more than it has there.
    expect(most).toBeLessThanOrEqual(500_000 + 3 * BLOCK_BYTES);
  });

  it('hold nothing that others have when they are forgotten', () => {
    const heads = new KnownHeads(1_000_000);
    const all = [1, 2, 3].map((index) => {
      heads.remember(headOf(index), factsOf(10, 'x'));
      return heads.find(headOf(index));
    });
    for (const known of all) if (known !== undefined) heads.forget(known);
    expect(all.map((known) => [known?.newer, known?.older, known?.wire.first.length])).toEqual(
      all.map(() => [undefined, undefined, 0]),
    );
  });

  it('that share an answer keep its bytes until the last of them is forgotten', () => {
    const slab = new Slab();
    const heads = new KnownHeads(1_000_000, slab);
    const facts = factsOf(10, 'x');
    heads.remember(headOf(1), facts);
    const { first } = facts.wire;
    heads.remember(headOf(2), facts);
    for (const index of [1, 2]) {
      expect(facts.wire.first).toBe(first);
      const known = heads.find(headOf(index));
      if (known !== undefined) heads.forget(known);
    }
    expect(slab.dead).toBe(slab.get(0)?.used);
  });

  it('give back all that their answers ever had, whatever digits these had', () => {
    const slab = new Slab();
    const heads = new KnownHeads(1_000_000, slab);
    for (const size of [0, 1, 2, 3, 4, 5, 6, 7]) heads.remember(headOf(size), factsOf(size, 'x'));
    for (const size of [0, 1, 2, 3, 4, 5, 6, 7]) {
      const known = heads.find(headOf(size));
      if (known === undefined) throw new Error('it is not known');
      for (const nowMs of [0, 5000, 50_000, 500_000]) heads.turnTo(known, nowMs);
      heads.forget(known);
    }
    expect(slab.dead).toBe(slab.get(0)?.used);
  });

  it('whose answer was lent once have it written in its place again from the next time on', () => {
    const heads = new KnownHeads(1_000_000);
    heads.remember(headOf(1), factsOf(10, 'x'));
    const known = heads.find(headOf(1));
    if (known === undefined) throw new Error('it is not known');
    heads.turnTo(known, 1000);
    const { first } = known.wire;
    known.wire.isLent = true;
    heads.turnTo(known, 2000);
    const { first: second } = known.wire;
    expect(second).not.toBe(first);
    heads.turnTo(known, 3000);
    expect(known.wire.first).toBe(second);
  });
});

describe('Rows of heads', () => {
  it('tell heads of one hash apart by their bytes and lengths', () => {
    const { add, find } = rowsOf();
    const texts = ['a', 'a\0', 'a\0\0', 'ab', 'abcd', 'abcde'];
    const all = texts.map((text) => add(text, 1));
    expect(texts.map((text) => find(text, 1))).toEqual(all);
    expect(['b', 'abc', 'abcd\0'].map((text) => find(text, 1))).toEqual([0, 0, 0]);
    expect(texts.map((text) => find(text, 2))).toEqual(texts.map(() => 0));
  });

  it('say for how long they hold, to the end of each bound, however many there come to be', () => {
    const { rows, add } = rowsOf();
    const all = Array.from({ length: 1000 }, (_none, index) => {
      const row = add(`head ${index}`, index & 7);
      rows.say(row, { turns: index, sinceMs: 1000, untilMs: 2000, lastMs: index % 2 === 0 ? 1500 : 3000 });
      return row;
    });
    const told = (nowMs: number) => all.map((row, index) => rows.holds(row, index, nowMs));
    const each = (isEven: boolean, isOdd: boolean) => all.map((_none, index) => (index % 2 === 0 ? isEven : isOdd));
    expect(told(999.9)).toEqual(each(false, false));
    expect(told(1000)).toEqual(each(true, true));
    expect(told(1500)).toEqual(each(true, true));
    expect(told(1500.1)).toEqual(each(false, true));
    expect(told(1999.9)).toEqual(each(false, true));
    expect(told(2000)).toEqual(each(false, false));
    expect(all.map((row, index) => rows.holds(row, index + 1, 1000))).toEqual(each(false, false));
  });

  it('begin unused, where another was used', () => {
    const { rows, add, find } = rowsOf();
    const gone = add('gone', 1);
    find('gone', 1);
    rows.remove(gone);
    const row = add('next', 1);
    expect(row).toBe(gone);
    expect(rows.takeUse(row)).toBe(false);
    find('next', 1);
    expect([rows.takeUse(row), rows.takeUse(row)]).toEqual([true, false]);
  });
});

function rowsOf() {
  const slab = new Slab();
  const rows = new HeadRows(slab);
  const add = (text: string, hash: number): number => {
    const words = wordsOf(text);
    const block = slab.take(4 * words.length, { leave: () => undefined });
    if (block === undefined) throw new Error('no room');
    block.words.set(words, slab.at / 4);
    return rows.add(text.length, hash, block.number, slab.at / 4);
  };
  return { rows, add, find: (text: string, hash: number) => rows.find(wordsOf(text), text.length, hash) };
}

/** With zeros to the end of the last word. */
function wordsOf(text: string): Int32Array {
  const bytes = Buffer.alloc(Math.ceil(text.length / 4) * 4);
  bytes.write(text, 'latin1');
  return new Int32Array(new Uint8Array(bytes).buffer);
}

class Piece implements Resident {
  readonly bytes: number;
  readonly #slab: Slab;
  #block: Block | undefined;

  constructor(slab: Slab, bytes: number) {
    this.#slab = slab;
    this.bytes = bytes;
    this.#block = slab.take(bytes, this);
  }

  leave(block: Block): void {
    if (this.#block !== block) return;
    this.#block = this.#slab.take(this.bytes, this);
    this.#slab.giveBack(block, this.bytes);
  }

  end(): void {
    const block = this.#block;
    this.#block = undefined;
    if (block !== undefined) this.#slab.giveBack(block, this.bytes);
  }
}

/** Random use of known heads, beside what they were given. */
class Trial {
  readonly wrong: unknown[] = [];
  /** Bytes that are under way to a client, which nobody may write to. */
  readonly lent: { readonly bytes: Buffer; readonly text: string }[] = [];
  readonly #dice = new Dice(7);
  readonly #heads = new KnownHeads(2_000_000);
  readonly #given = new Map<number, ReturnType<typeof factsOf>>();
  #nowMs = 0;

  step(): void {
    const dice = this.#dice;
    const index = dice.roll(3000);
    const known = this.#heads.find(headOf(index));
    if (known === undefined) this.#remember(index);
    else if (dice.roll(10) === 0) this.#heads.forget(known);
    else this.#use(index, known);
  }

  #remember(index: number): void {
    const dice = this.#dice;
    const shared = this.#given.get(index - 1);
    const isShared = shared !== undefined && dice.chance(4) && shared.wire.users > 0;
    const size = dice.roll(20) === 0 ? 20_000 : dice.roll(2000);
    const facts = isShared ? shared : factsOf(size, String.fromCharCode(97 + dice.roll(26)));
    this.#given.set(index, facts);
    this.#heads.remember(headOf(index), facts);
  }

  #use(index: number, known: KnownHead): void {
    const dice = this.#dice;
    if (dice.roll(20) === 0) this.#nowMs = dice.chance(4) ? dice.roll(2_000_000) : this.#nowMs + dice.roll(1500);
    const facts = this.#given.get(index);
    const isTurned = this.#heads.turnTo(known, this.#nowMs);
    const { wire } = known;
    const text = wire.first.toString('latin1');
    if (!isTurned || wire !== facts?.wire || text !== facts.textAt(this.#nowMs)) this.wrong.push([index, this.#nowMs]);
    if (dice.roll(10) !== 0) return;
    wire.isLent = true;
    this.lent.push({ bytes: wire.first, text });
  }
}
