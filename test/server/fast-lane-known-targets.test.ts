import { describe, expect, it } from 'vitest';

import { KnownTargets, MAX_KNOWN_TARGET, MAX_KNOWN_TARGET_BYTES } from '../../src/server/fast-lane-targets.ts';
import { Dice } from '../support/spellings.ts';

const tail = ' HTTP/1.1\r\n\r\n';

function find(known: KnownTargets, number: number, target: string) {
  return known.find(number, Buffer.from(`GET ${target}${tail}`, 'latin1'), 'GET '.length + target.length);
}

function remember(known: KnownTargets, number: number, target: string): void {
  const [path = '', query] = target.split('?');
  known.remember(number, target, { path, query });
}

describe('known targets', () => {
  it('are found by all of their bytes and their tail', () => {
    const known = new KnownTargets();
    expect(find(known, 1, '/a?b=1')).toBeUndefined();
    remember(known, 1, '/a?b=1');
    expect(find(known, 1, '/a?b=1')).toMatchObject({ target: '/a?b=1', path: '/a', query: 'b=1', made: undefined });
    expect(find(known, 1, '/a?b=1')).toBe(find(known, 1, '/a?b=1'));
    const others = ['/a?b=', '/a?b=2', '/A?b=1', '/a?b=1&', '/a%3Fb=1', '/'];
    expect(others.filter((other) => find(known, 1, other) !== undefined)).toEqual([]);
    expect(find(known, 2, '/a?b=1')).toBeUndefined();
  });

  it('are what was remembered, or not known, however they come', () => {
    const dice = new Dice(20_261_126);
    const known = new KnownTargets();
    const wrong: string[] = [];
    let hits = 0;
    for (let step = 0; step < 20_000; step += 1) {
      const number = dice.roll(3);
      const target = `/t/${dice.roll(1000)}?x=${'y'.repeat(dice.roll(3))}`;
      const found = find(known, number, target);
      if (found === undefined) remember(known, number, target);
      else hits += 1;
      if (found !== undefined && (found.tail !== number || found.target !== target)) wrong.push(target);
    }
    expect(wrong).toEqual([]);
    expect(hits).toBeGreaterThan(1000);
  });

  it('are kept up to 512 characters', () => {
    expect(MAX_KNOWN_TARGET).toBe(512);
    const known = new KnownTargets();
    const most = `/${'a'.repeat(MAX_KNOWN_TARGET - 1)}`;
    remember(known, 1, most);
    remember(known, 1, `${most}a`);
    expect(find(known, 1, most)).toBeDefined();
    expect(find(known, 1, `${most}a`)).toBeUndefined();
  });

  it('take no more than they may, whatever comes, and make room for what is asked for', () => {
    const known = new KnownTargets();
    const kept = Array.from({ length: 50 }, (_, index) => `/kept/${index}`);
    for (const target of kept) remember(known, 1, target);
    const long = 'x'.repeat(MAX_KNOWN_TARGET - 20);
    let most = 0;
    for (let count = 0; count < 30_000; count += 1) {
      remember(known, 1, `/flood/${count}?${long}`.slice(0, MAX_KNOWN_TARGET));
      for (const target of kept.slice(count % 50, (count % 50) + 2)) find(known, 1, target);
      most = Math.max(most, known.bytes);
    }
    expect(most).toBeLessThanOrEqual(MAX_KNOWN_TARGET_BYTES);
    expect(most).toBeGreaterThan(0.9 * MAX_KNOWN_TARGET_BYTES);
    expect(kept.filter((target) => find(known, 1, target) !== undefined).length).toBeGreaterThan(25);
    // What is left is asked for as before, and what is new gets in now and then.
    const late = Array.from({ length: 400 }, (_, index) => `/late/${index}`);
    for (const target of late) remember(known, 1, target);
    expect(late.some((target) => find(known, 1, target) !== undefined)).toBe(true);
  });

  it('are kept once, however often they come at once, and one of eight where there is no room', () => {
    const known = new KnownTargets();
    remember(known, 1, '/twice');
    const { bytes } = known;
    remember(known, 1, '/twice');
    expect(known.bytes).toBe(bytes);
    for (let count = 0; known.bytes + 2200 < MAX_KNOWN_TARGET_BYTES; count += 1) remember(known, 1, `/full/${count}`);
    const isKept = Array.from({ length: 80 }, (_none, count) => {
      remember(known, 1, `/late/${count}?${'x'.repeat(100)}`);
      return find(known, 1, `/late/${count}?${'x'.repeat(100)}`) !== undefined;
    });
    expect(isKept.filter(Boolean)).toHaveLength(10);
  });

  it('take 2,048 bytes and four for each character, and give them back when they go', () => {
    const dice = new Dice(32);
    const known = new KnownTargets();
    const targets = Array.from({ length: 40_000 }, (_, index) => `/${index}/${'x'.repeat(dice.roll(60))}`);
    for (const target of targets) remember(known, 1, target);
    let bytes = 0;
    for (const target of targets) if (find(known, 1, target) !== undefined) bytes += 2048 + 4 * target.length;
    expect(known.bytes).toBe(bytes);
  });

  it('have what is made of their answers counted with them, to the last byte that there is room for', () => {
    expect(MAX_KNOWN_TARGET_BYTES).toBe(10 * 1024 * 1024);
    const known = new KnownTargets();
    remember(known, 1, '/a');
    remember(known, 1, '/b');
    const [a, b] = [find(known, 1, '/a'), find(known, 1, '/b')];
    const left = MAX_KNOWN_TARGET_BYTES - known.bytes;
    expect(a?.grow(left - 1000)).toBe(true);
    expect(b?.grow(1001)).toBe(false);
    expect(known.bytes).toBe(MAX_KNOWN_TARGET_BYTES - 1000);
    expect(b?.grow(1000)).toBe(true);
    expect(known.bytes).toBe(MAX_KNOWN_TARGET_BYTES);
    expect(b?.grow(1)).toBe(false);
    // Given back by whoever has let go of it.
    expect(a?.grow(-2000)).toBe(true);
    expect(b?.grow(2001)).toBe(false);
    expect(b?.grow(2000)).toBe(true);
    expect(known.bytes).toBe(MAX_KNOWN_TARGET_BYTES);
  });

  it('give all of it back when they go, and take nothing from then on', () => {
    const known = new KnownTargets();
    remember(known, 1, '/gone');
    const gone = find(known, 1, '/gone');
    expect(gone?.grow(MAX_KNOWN_TARGET_BYTES - known.bytes - 5000)).toBe(true);
    for (let count = 0; find(known, 1, '/gone') !== undefined; count += 1) {
      for (let more = 0; more < 1000; more += 1) remember(known, 1, `/flood/${count}/${more}`);
      if (count > 100) throw new Error('it does not go');
    }
    const { bytes } = known;
    expect(bytes).toBeLessThanOrEqual(MAX_KNOWN_TARGET_BYTES);
    expect(gone?.grow(1)).toBe(false);
    expect(gone?.grow(-1_000_000)).toBe(false);
    expect(known.bytes).toBe(bytes);
    const targets: string[] = [];
    for (let count = 0; count < 101; count += 1)
      for (let more = 0; more < 1000; more += 1) targets.push(`/flood/${count}/${more}`);
    const kept = targets.filter((target) => find(known, 1, target) !== undefined);
    expect(kept.reduce((sum, target) => sum + 2048 + 4 * target.length, 0)).toBe(bytes);
  });

  it('that nobody asks for any more make room for what is made of the answers of others', () => {
    const known = new KnownTargets();
    const targets = Array.from({ length: 2000 }, (_, index) => `/v1/forecast?location=city${index}&size=1024&days=7`);
    for (const target of targets) remember(known, 1, target);
    for (const target of targets) remember(known, 2, target);
    const grown = new Set<string>();
    const isIn = (target: string): boolean => find(known, 2, target) !== undefined;
    const inUse = targets.filter(isIn);
    expect(inUse.length).toBeGreaterThan(1800);
    let most = 0;
    for (let round = 0; round < 40; round += 1) {
      for (const target of inUse) {
        const isGrown = grown.has(target) || find(known, 2, target)?.grow(2400) === true;
        if (isGrown) grown.add(target);
      }
      for (const target of inUse) find(known, 2, target);
      most = Math.max(most, known.bytes);
    }
    expect(most).toBeLessThanOrEqual(MAX_KNOWN_TARGET_BYTES);
    // Without it some 700. Two turns of the hand are 36 rounds.
    expect(grown.size).toBeGreaterThan(0.95 * inUse.length);
    expect(inUse.filter(isIn)).toHaveLength(inUse.length);
  });

  it('that are in use stay, however often there is no room for what is made of their answers', () => {
    const known = new KnownTargets();
    const targets = Array.from({ length: 4600 }, (_, index) => `/full/${index}`);
    for (const target of targets) remember(known, 1, target);
    const isIn = (target: string): boolean => find(known, 1, target) !== undefined;
    const inUse = targets.filter(isIn);
    expect(inUse.length).toBeGreaterThan(4000);
    for (let round = 0; round < 50; round += 1) for (const target of inUse) find(known, 1, target)?.grow(900_000);
    expect(inUse.filter(isIn)).toHaveLength(inUse.length);
  });

  it('that nobody asks for any more make room within two turns of the hand, however seldom it is asked for', () => {
    const known = new KnownTargets();
    const targets = Array.from({ length: 2000 }, (_, index) => `/v1/forecast?location=city${index}&size=1024&days=7`);
    // Of a client that has gone, with what was made of their answers.
    for (const target of targets) {
      remember(known, 1, target);
      find(known, 1, target)?.grow(2400);
    }
    for (const target of targets) remember(known, 2, target);
    const inUse = targets.filter((target) => find(known, 2, target) !== undefined);
    // It takes turns which of them asks for room.
    const isGrown = inUse.map(() => false);
    // What was asked for a moment ago goes with the second turn only.
    for (const target of targets) find(known, 1, target);
    let requests = 0;
    while (requests < 140_000) {
      for (const [index, target] of inUse.entries()) {
        const found = find(known, 2, target);
        requests += 1;
        if (isGrown[index] === false && requests % 64 === 0) isGrown[index] = found?.grow(2400) === true;
      }
    }
    const isLeft = targets.map((target) => find(known, 1, target) !== undefined);
    expect(isLeft.filter(Boolean)).toEqual([]);
  });

  it('are of as many sets as serve 2,000 in turn', () => {
    let lost = 0;
    for (let round = 0; round < 20; round += 1) {
      const known = new KnownTargets();
      const targets = Array.from({ length: 2000 }, (_, index) => `/v1/forecast?location=${round}-${index}&days=7`);
      for (const target of targets) remember(known, 1, target);
      lost += targets.filter((target) => find(known, 1, target) === undefined).length;
    }
    // By chance some 5; in sets of four some 160.
    expect(lost).toBeLessThan(40);
  });
});
