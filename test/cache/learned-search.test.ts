import { afterEach, describe, expect, it } from 'vitest';
import { invalidate } from '../../src/cache/invalidate.ts';
import { LearnedSearch } from '../../src/cache/learned-search.ts';
import { scopesOfUrl } from '../../src/cache/locate.ts';
import { retagged, tagged } from '../../src/cache/tagged.ts';
import type { ResponseStore } from '../../src/cache/ports.ts';
import type { MemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from '../support/clock.ts';
import { ExchangeRig, type RigOptions, ScriptedLocks } from '../support/exchange-rig.ts';
import { sha256 } from '../support/operations.ts';
import { fieldsOf, honourRoute, HOUR } from '../support/policy.ts';
import { keyed, tableOf } from '../support/routes.ts';

const route = honourRoute(
  {},
  { name: 'h', match: '/p/*', rawQuery: true, noVarySearch: true, forwardHeaders: ['accept-language'] },
);
const fresh = 'Cache-Control: max-age=60';
const noUtm = 'No-Vary-Search: params=("utm")';

const rigs: ExchangeRig[] = [];
function rigWith(options: RigOptions = {}): ExchangeRig {
  const rig = new ExchangeRig({ routes: [route], ...options });
  rigs.push(rig);
  return rig;
}

afterEach(() => {
  for (const rig of rigs.splice(0)) rig[Symbol.dispose]();
});

/** Asks, answers the call that it makes, and gives the text that came. */
async function fetched(rig: ExchangeRig, path: string, text: string, ...lines: readonly string[]): Promise<void> {
  const { length } = rig.calls;
  const seen = rig.get(path);
  await rig.settle();
  rig.call(length).answer(200, text, fieldsOf(fresh, ...lines));
  expect(await seen).toMatchObject({ text });
}

/** What is served of it without a call; `undefined` where a call was made, which fails. */
async function held(rig: ExchangeRig, path: string, ...fields: readonly string[]): Promise<string | undefined> {
  const { length } = rig.calls;
  const seen = rig.get(path, ...fields);
  await rig.settle();
  const isCalled = rig.calls.length > length;
  if (isCalled) rig.call(length).fail();
  const { text } = await seen;
  return isCalled ? undefined : text;
}

describe('No-Vary-Search of upstream', () => {
  it('lets later requests of the path share what counts the same, and sends each its own query', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    expect(await held(rig, '/p/x?utm=2&a=1')).toBe('one');
    expect(await held(rig, '/p/x?a=1')).toBe('one');
    expect(await held(rig, '/p/x?a=2&utm=1')).toBeUndefined();
    expect(await held(rig, '/p/y?a=1')).toBeUndefined();
    expect(rig.calls.map((call) => call.canonical.target)).toEqual(['/p/x?a=1&utm=1', '/p/x?a=2&utm=1', '/p/y?a=1']);
  });

  it('does nothing on a route that does not read it', async () => {
    const rig = rigWith({ routes: [{ ...route, noVarySearch: false }] });
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    expect(await held(rig, '/p/x?a=1&utm=2')).toBeUndefined();
  });

  it('is unlearnt by an answer of the path without it, and not by an error', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const failing = rig.get('/p/x?a=3');
    await rig.settle();
    rig.call(1).answer(404, 'none', fieldsOf(fresh));
    await failing;
    expect(await held(rig, '/p/x?a=1&utm=2')).toBe('one');
    await fetched(rig, '/p/x?a=2', 'two');
    expect(await held(rig, '/p/x?a=1&utm=2')).toBeUndefined();
    expect(await held(rig, '/p/x?a=2')).toBe('two');
    expect(rig.search.size).toBe(0);
  });

  it('is changed and unlearnt also after the clock was set back, when all that is learnt was said later', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    rig.clock.advance(-HOUR);
    await fetched(rig, '/p/x?a=2&b=1', 'two', 'No-Vary-Search: params=("b")');
    expect(await held(rig, '/p/x?a=2&b=2')).toBe('two');
    rig.clock.advance(-HOUR);
    await fetched(rig, '/p/x?a=3', 'three');
    expect(rig.search.size).toBe(0);
  });

  it('counts as the latest answer has it, and what was stored under another rule is not taken for it', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&b=1', 'one', 'No-Vary-Search: params=("b")');
    await fetched(rig, '/p/x?a=2&b=1', 'two', 'No-Vary-Search: params=("a")');
    expect(await held(rig, '/p/x?a=9&b=1')).toBe('two');
    expect(await held(rig, '/p/x?a=1')).toBeUndefined();
  });

  it('does not make what was stored without it good for another URL, which no purge of that URL would cover', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1', 'plain');
    await fetched(rig, '/p/x?a=2&utm=1', 'two', noUtm);
    expect(await held(rig, '/p/x?a=1&utm=2')).toBeUndefined();
  });

  it('is kept by a 304 without it', async () => {
    const rig = rigWith({ routes: [honourRoute({ keepForValidationMs: HOUR }, route)] });
    rig.clock.advance(1);
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm, 'ETag: "1"');
    rig.clock.advance(61_000);
    const seen = rig.get('/p/x?a=1&utm=2');
    await rig.settle();
    expect(rig.call(1).fields).toContainEqual(['if-none-match', '"1"']);
    rig.call(1).answer(304, '', fieldsOf(fresh));
    expect(await seen).toMatchObject({ text: 'one', outcome: 'revalidated' });
    expect(await held(rig, '/p/x?utm=3&a=1')).toBe('one');
  });

  it('lets two spellings wait for one call', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const both = [rig.get('/p/x?a=2&utm=1'), rig.get('/p/x?a=2&utm=2')];
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'two', fieldsOf(fresh, noUtm));
    expect((await Promise.all(both)).map((seen) => seen.text)).toEqual(['two', 'two']);
  });

  it('gives those who waited for the answer that taught it that answer', async () => {
    const rig = rigWith();
    const both = [rig.get('/p/x?a=1&utm=1'), rig.get('/p/x?a=1&utm=1')];
    await rig.settle();
    rig.call(0).answer(200, 'one', fieldsOf(fresh, noUtm));
    expect((await Promise.all(both)).map((seen) => seen.outcome)).toEqual(['miss', 'collapsed']);
  });

  it('that goes while two spellings wait leaves the answer to those whose URL it is of', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const first = rig.get('/p/x?a=2&utm=1');
    const same = rig.get('/p/x?a=2&utm=1');
    const other = rig.get('/p/x?a=2&utm=2');
    await rig.settle();
    rig.call(1).answer(200, 'two', fieldsOf(fresh));
    expect([(await first).text, (await same).text]).toEqual(['two', 'two']);
    await rig.settle();
    expect(rig.call(2).canonical.target).toBe('/p/x?a=2&utm=2');
    rig.call(2).answer(200, 'its own', fieldsOf(fresh));
    expect((await other).text).toBe('its own');
  });

  it('is said of no answer that does not say it: an error is for its own query, and shared with nobody else', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const bad = [rig.get('/p/x?a=2&utm=bad'), rig.get('/p/x?a=2&utm=bad')];
    const good = rig.get('/p/x?a=2&utm=good');
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(404, 'none', fieldsOf(fresh));
    expect((await Promise.all(bad)).map((seen) => seen.text)).toEqual(['none', 'none']);
    await rig.settle();
    expect(rig.call(2).canonical.target).toBe('/p/x?a=2&utm=good');
    rig.call(2).answer(404, 'none either', fieldsOf(fresh));
    expect((await good).text).toBe('none either');
    expect(await held(rig, '/p/x?a=2&utm=bad')).toBe('none');
    expect(await held(rig, '/p/x?a=2&utm=good')).toBe('none either');
    expect(await held(rig, '/p/x?a=2&utm=other')).toBeUndefined();
    expect(await held(rig, '/p/x?a=1&utm=2')).toBe('one');
  });

  it('said by a slow answer that was asked for before the one that counts is not taken for that', async () => {
    const rig = rigWith();
    const slow = rig.get('/p/x?a=1&utm=1');
    await rig.settle();
    rig.clock.advance(1000);
    await fetched(rig, '/p/x?b=1', 'later', 'No-Vary-Search: params=("a")');
    rig.call(0).answer(200, 'slow', fieldsOf(fresh, noUtm));
    expect(await slow).toMatchObject({ text: 'slow' });
    expect(await held(rig, '/p/x?a=2&utm=1')).toBeUndefined();
  });

  it('is shown in the key of what says it, and in no other', async () => {
    const rig = rigWith({ routes: [{ ...route, showKey: true }] });
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    for (const [lines, key] of [
      [[fresh, noUtm], expect.stringMatching(/; key="h\|\/p\/x\?a=2\|\?[0-9a-f]{16}"/)],
      [[fresh], expect.stringContaining('; key="h|/p/x?a=3&utm=1"')],
    ] as const) {
      const { length } = rig.calls;
      const seen = rig.get(`/p/x?a=${length + 1}&utm=1`);
      await rig.settle();
      rig.call(length).answer(200, 'text', fieldsOf(...lines));
      expect((await seen).cacheStatus).toEqual(key);
    }
  });

  it('is said of an error that says it too', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const seen = rig.get('/p/x?a=2&utm=1');
    await rig.settle();
    rig.call(1).answer(404, 'none', fieldsOf(fresh, noUtm));
    await seen;
    expect(await held(rig, '/p/x?a=2&utm=2')).toBe('none');
  });

  it('leaves an error of a URL validated under its own query, and then by what its answer says', async () => {
    const rig = rigWith({ routes: [honourRoute({ keepForValidationMs: HOUR }, route)] });
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const first = rig.get('/p/x?a=2&utm=1');
    await rig.settle();
    rig.call(1).answer(404, 'none', fieldsOf(fresh, 'ETag: "none"'));
    await first;
    rig.clock.advance(61_000);
    const second = rig.get('/p/x?a=2&utm=1');
    await rig.settle();
    expect(rig.call(2).fields).toContainEqual(['if-none-match', '"none"']);
    rig.call(2).answer(200, 'there', fieldsOf(fresh, noUtm));
    expect((await second).text).toBe('there');
    expect(await held(rig, '/p/x?a=2&utm=2')).toBe('there');
  });

  it('keeps what taught it from answering anew where what came later is gone', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const { key } = rig.search.peek(keyed(tableOf(route), '/p/x?a=1&utm=1'));
    rig.memory.invalidate(key);
    expect(rig.memory.get('h|/p/x?a=1&utm=1')).toBeDefined();
    expect(await held(rig, '/p/x?a=1&utm=1')).toBeUndefined();
  });

  it('of an error that varies lets its own query find it', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const seen = rig.get('/p/x?a=2&utm=1', 'Accept-Language: de');
    await rig.settle();
    rig.call(1).answer(404, 'nichts', fieldsOf(fresh, 'Vary: Accept-Language'));
    await seen;
    expect(await held(rig, '/p/x?a=2&utm=1', 'Accept-Language: de')).toBe('nichts');
    expect(await held(rig, '/p/x?a=2&utm=1', 'Accept-Language: en')).toBeUndefined();
    expect(await held(rig, '/p/x?a=2&utm=2', 'Accept-Language: de')).toBeUndefined();
  });

  it('goes together with Vary', async () => {
    const rig = rigWith();
    const seen = rig.get('/p/x?a=1&utm=1', 'Accept-Language: de');
    await rig.settle();
    rig.call(0).answer(200, 'deutsch', fieldsOf(fresh, noUtm, 'Vary: Accept-Language'));
    await seen;
    expect(await held(rig, '/p/x?utm=2&a=1', 'Accept-Language: DE')).toBe('deutsch');
    expect(await held(rig, '/p/x?utm=2&a=1', 'Accept-Language: en')).toBeUndefined();
  });

  it('is shared by a refresh: warming has the key that a client has', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const asked = keyed(tableOf(route), '/p/x?utm=5&a=1');
    const input = { route, keyed: asked, purpose: 'warm', reuseAbove: 0 } as const;
    expect(await rig.refresher.refresh(input, new AbortController().signal)).toMatchObject({ result: 'reused' });
  });
});

const table = tableOf(route);

function scopes(url: string): readonly string[] {
  const found = scopesOfUrl(table, url, sha256);
  return found.ok ? found.value : [];
}

describe('a purge of what is keyed by a rule', () => {
  it.each(['/p/x?a=1&utm=1', '/p/x?utm=2&a=1', '/p/x?a=1', '/p/x?utm=9'])(
    'by the URL %s takes it, whoever stored it by whatever spelling',
    async (url) => {
      const rig = rigWith();
      await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
      expect(await held(rig, '/p/x?utm=2&a=1')).toBe('one');
      await rig.purge(...scopes(url));
      expect(await held(rig, '/p/x?utm=2&a=1')).toBeUndefined();
    },
  );

  it.each(['h|/p/x?a=1&utm=1', 'h|/p/x?utm=9&a=1', 'its own'])(
    'by the key %s takes it, and what taught it',
    async (name) => {
      const rig = rigWith();
      await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
      const { key } = rig.search.peek(keyed(table, '/p/x?a=1&utm=1'));
      await rig.purge(`k:${name === 'its own' ? key : name}`);
      expect(await held(rig, '/p/x?utm=2&a=1')).toBeUndefined();
      expect([rig.memory.get('h|/p/x?a=1&utm=1'), rig.memory.get(key)]).toEqual([undefined, undefined]);
    },
  );

  it('counts for the URL that is asked for, whatever tags it was stored with', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const { key } = rig.search.peek(keyed(table, '/p/x?a=1&utm=1'));
    const item = rig.memory.get(key)?.item;
    if (item?.kind !== 'response') throw new Error('not stored');
    rig.memory.put({ ...item, tags: ['route:h'] });
    await rig.purge('u:/p/x?a=1&utm=2');
    expect(await held(rig, '/p/x?a=1&utm=2')).toBeUndefined();
  });

  it('by a key of another path leaves it', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    await rig.purge('k:h|/p/xy?a=1&utm=1', 'k:h|/p', 'k:i|/p/x?a=1&utm=1');
    expect(await held(rig, '/p/x?utm=2&a=1')).toBe('one');
  });

  it('counts all that it takes', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    await fetched(rig, '/p/x?a=2&utm=1', 'two', noUtm);
    for (const scope of ['u:/p/x?utm=7', 'p:/p/x?zzz', 'k:h|/p/x?utm=7'])
      expect(await rig.memory.count([scope])).toBe(3);
    expect(await rig.memory.count(['u:/p/y?utm=7'])).toBe(0);
  });

  it('by its URL, soft, makes it stale', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    await rig.log.append({ scopes: ['u:/p/x?utm=7'], soft: true });
    const seen = rig.get('/p/x?a=1&utm=2');
    await rig.settle();
    rig.call(1).answer(200, 'two', fieldsOf(fresh, noUtm));
    expect((await seen).text).toBe('two');
  });

  it('by a URL of another path leaves it', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    await rig.purge(...scopes('/p/y?a=1'));
    expect(await held(rig, '/p/x?utm=2&a=1')).toBe('one');
  });

  it.each(['/p/', '/p/x', '/p/x?', '/p/x?utm=2&a', '/p/x?zzz'])('by the prefix %s takes it', async (prefix) => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    await rig.purge(`p:${prefix}`);
    expect(await held(rig, '/p/x?utm=2&a=1')).toBeUndefined();
  });

  it('in the air is not overtaken by what was fetched before it', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one', noUtm);
    const early = rig.get('/p/x?a=2&utm=1');
    await rig.settle();
    await rig.purge(...scopes('/p/x?a=2&utm=7'));
    rig.call(1).answer(200, 'before', fieldsOf(fresh, noUtm));
    await early;
    expect(await held(rig, '/p/x?a=2&utm=3')).toBeUndefined();
  });
});

describe('a purge that the log refuses, after an unsafe method', () => {
  it('leaves nothing in this process that is keyed on the path, by whatever rule', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&b=1', 'one', 'No-Vary-Search: params=("b")');
    await fetched(rig, '/p/x?a=2&b=2', 'two', 'No-Vary-Search: params=("a")');
    await fetched(rig, '/p/y?a=1', 'other');
    rig.log.refusal = { status: 503, code: 'purge-not-guaranteed', title: 't', detail: 'd' };
    const invalidation = { scopes: ['u:/p/x?a=9'], keys: [] };
    const parts = { table, store: rig.memory, purgeLog: rig.log, upstreams: new Map(), sha256 };
    expect(await invalidate(parts, 'h', invalidation)).toBe(false);
    expect(rig.memory.stats().responses).toBe(1);
    expect(await held(rig, '/p/y?a=1')).toBe('other');
  });
});

/** The memory of another process, as Redis is read: late. */
function far(memory: MemoryStore): ResponseStore {
  const late = async (key: string) => {
    const read = memory.get(key);
    return read === undefined ? undefined : ({ ...read, tier: 'redis' } as const);
  };
  return {
    tier: 'redis',
    get: late,
    peek: late,
    put: (item) => memory.put(item),
    invalidate: (key) => memory.invalidate(key),
  };
}

describe('what another process has stored', () => {
  it('teaches this one, from the URL that taught the other', async () => {
    const one = rigWith();
    await fetched(one, '/p/x?a=1&utm=1', 'one', noUtm);
    const other = rigWith({ between: () => far(one.memory) });
    expect(await held(other, '/p/x?a=1&utm=2')).toBeUndefined();
    expect(await held(other, '/p/x?a=1&utm=1')).toBe('one');
    expect(await held(other, '/p/x?a=1&utm=2')).toBe('one');
  });

  it('teaches this one when it was waited for', async () => {
    const one = rigWith();
    await fetched(one, '/p/x?a=1&utm=1', 'one', noUtm);
    const read = one.memory.get('h|/p/x?a=1&utm=1');
    if (read === undefined) throw new Error('not stored');
    const other = rigWith({ locks: new ScriptedLocks({ kind: 'stored', read: { ...read, tier: 'redis' } }) });
    expect(await held(other, '/p/x?a=1&utm=1')).toBe('one');
    expect(other.search.size).toBe(1);
  });
});

describe('a purge by another URL of the path', () => {
  it('takes also what those find who have not learnt the rule', async () => {
    const one = rigWith();
    await fetched(one, '/p/x?a=1&utm=1', 'one', noUtm);
    await one.purge(...scopes('/p/x?a=1'));
    expect(one.memory.get('h|/p/x?a=1&utm=1')).toBeUndefined();
  });

  it.each([fresh, `${fresh}\nSurrogate-Key: k`])('takes what a HEAD has freshened there: %j', (lines) => {
    const rig = rigWith();
    const own = { ...route, tagsFrom: ['surrogate-key'] as const, maxUpstreamTags: 1 };
    const asked = { route: own, keyed: keyed(tableOf(route), '/p/x?a=1&utm=1') };
    const ofRule = ['search:/p/x', 'search:h|/p/x'];
    const deps = { upstreams: new Map(), observer: { limit: () => expect.fail('no limit is met') } };
    const stored = tagged(deps, asked, rig.stored('/p/x', { fields: fieldsOf(fresh, noUtm, 'Surrogate-Key: j') }));
    expect(stored.tags).toEqual(expect.arrayContaining(ofRule));
    const { response } = retagged(deps, asked, stored, fieldsOf(...lines.split('\n')));
    expect(response.tags).toEqual(expect.arrayContaining(ofRule));
  });

  it('leaves what came without a rule', async () => {
    const rig = rigWith();
    await fetched(rig, '/p/x?a=1&utm=1', 'one');
    await rig.purge(...scopes('/p/x?a=1'));
    expect(await held(rig, '/p/x?a=1&utm=1')).toBe('one');
  });
});

describe('what is learnt', () => {
  const lesson = { status: 200, fields: fieldsOf(noUtm), requestTimeMs: 1000 };

  it('is not taken back by an answer that was asked for earlier', () => {
    const search = new LearnedSearch({ limit: () => expect.fail('no limit is met') }, new FakeClock(1000));
    const asked = keyed(tableOf(route), '/p/x?utm=1');
    search.learn(asked, lesson);
    search.learn(asked, { status: 200, fields: [], requestTimeMs: 999 });
    expect(search.size).toBe(1);
    search.learn(asked, { status: 200, fields: [], requestTimeMs: 1000 });
    expect(search.size).toBe(0);
  });

  it('is forgotten first of the path that was asked for longest ago', () => {
    const limits: string[] = [];
    const search = new LearnedSearch({ limit: (option) => void limits.push(option) }, new FakeClock(1000), 2);
    const first = keyed(tableOf(route), '/p/1');
    const second = keyed(tableOf(route), '/p/2');
    const third = keyed(tableOf(route), '/p/3');
    search.learn(first, lesson);
    search.learn(second, lesson);
    search.keyed(first);
    search.learn(third, lesson);
    expect([first, second, third].map((asked) => search.peek(asked).search?.rule !== undefined)).toEqual([
      true,
      false,
      true,
    ]);
    expect(limits).toEqual(['routes.noVarySearch']);
  });

  it('is taken back by an earlier one where it is a millisecond in the future', () => {
    const search = new LearnedSearch({ limit: () => expect.fail('no limit is met') }, new FakeClock(999));
    const asked = keyed(tableOf(route), '/p/x?utm=1');
    search.learn(asked, lesson);
    search.learn(asked, { status: 200, fields: [], requestTimeMs: 1 });
    expect(search.size).toBe(0);
  });
});
