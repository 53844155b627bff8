import { afterEach, describe, expect, it } from 'vitest';
import type { VaryMarker } from '../../src/core/stored-response.ts';
import { ExchangeRig } from '../support/exchange-rig.ts';
import { fieldsOf, honourRoute, HOUR } from '../support/policy.ts';

const route = honourRoute(
  { keepForValidationMs: HOUR },
  { match: '/p', rawQuery: true, forwardHeaders: ['accept-language', 'accept-encoding', 'accept'] },
);

const rigs: ExchangeRig[] = [];
function newRig(): ExchangeRig {
  const rig = new ExchangeRig({ routes: [route] });
  rigs.push(rig);
  return rig;
}

afterEach(() => {
  for (const rig of rigs.splice(0)) rig[Symbol.dispose]();
});

async function fetched(rig: ExchangeRig, asked: readonly string[], text: string, ...lines: readonly string[]) {
  const { length } = rig.calls;
  const seen = rig.get('/p', ...asked);
  await rig.settle();
  rig.call(length).answer(200, text, fieldsOf('Cache-Control: max-age=60', ...lines));
  await seen;
}

async function held(rig: ExchangeRig, ...asked: readonly string[]): Promise<string | undefined> {
  const { length } = rig.calls;
  const seen = rig.get('/p', ...asked);
  await rig.settle();
  const isCalled = rig.calls.length > length;
  if (isCalled) rig.call(length).fail();
  const { text } = await seen;
  return isCalled ? undefined : text;
}

function marker(rig: ExchangeRig): VaryMarker {
  const item = rig.memory.peek('forecast|/p')?.item;
  if (item?.kind !== 'vary') throw new Error('no marker');
  return item;
}

/** Answers all calls from that one on, each in its language. */
function answerFrom(rig: ExchangeRig, from: number, prefix = ''): void {
  for (const call of rig.calls.slice(from)) {
    const language = call.fields.find(([name]) => name === 'accept-language')?.[1] ?? 'none';
    const lines = ['Cache-Control: max-age=60', 'Vary: Accept-Language', `Content-Language: ${language}`];
    call.answer(200, `${prefix}${language}`, fieldsOf(...lines));
  }
}

function named(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_none, index) => `x-${prefix}${index}`);
}

describe('variants by language', () => {
  const byLanguage = 'Vary: Accept-Language';

  it('are shared by all spellings of what is accepted', async () => {
    const rig = newRig();
    await fetched(rig, ['Accept-Language: de, en;q=0.50'], 'one', byLanguage);
    expect(await held(rig, 'Accept-Language: EN;q=0.5 ,DE')).toBe('one');
    expect(await held(rig, 'Accept-Language: de, en;q=0.4')).toBeUndefined();
  });

  it('are selected by the language that they are in', async () => {
    const rig = newRig();
    await fetched(rig, ['Accept-Language: en, de'], 'deutsch', byLanguage, 'Content-Language: de');
    expect(await held(rig, 'Accept-Language: fr;q=0.5, de')).toBe('deutsch');
    expect(await held(rig, 'Accept-Language: fr, de;q=0.5')).toBeUndefined();
    expect(await held(rig, 'Accept-Language: de;q=0, en')).toBeUndefined();
  });

  it('are not selected by a language where the other fields differ', async () => {
    const rig = newRig();
    const vary = 'Vary: Accept-Language, Accept-Encoding';
    const asked = ['Accept-Language: en, de', 'Accept-Encoding: gzip'];
    await fetched(rig, asked, 'deutsch', vary, 'Content-Language: de');
    expect(await held(rig, 'Accept-Language: de', 'Accept-Encoding: br')).toBeUndefined();
    expect(await held(rig, 'Accept-Language: de', 'Accept-Encoding: GZIP')).toBe('deutsch');
  });

  it('of two kinds of clients do not push each other out', async () => {
    const rig = newRig();
    const vary = 'Vary: Accept-Language, Accept-Encoding';
    const one = ['Accept-Language: de', 'Accept-Encoding: gzip'];
    const other = ['Accept-Language: de, fr;q=0.5', 'Accept-Encoding: br'];
    await fetched(rig, one, 'one', vary, 'Content-Language: de');
    await fetched(rig, other, 'other', vary, 'Content-Language: de');
    expect([await held(rig, ...one), await held(rig, ...other)]).toEqual(['one', 'other']);
  });

  it('are forgotten when the names change, since all keys do', async () => {
    const rig = newRig();
    await fetched(rig, ['Accept-Language: de'], 'one', byLanguage, 'Content-Language: de');
    expect(marker(rig).languages).toEqual([['de', 'de']]);
    const vary = 'Vary: Accept-Language, Accept';
    await fetched(rig, ['Accept-Language: en', 'Accept: a/b'], 'two', vary, 'Content-Language: en');
    expect(marker(rig)).toMatchObject({ names: ['accept', 'accept-language'], languages: [['en', 'en']] });
  });

  it('are told apart by sixteen fields, and by the latest alone where upstream has named more', async () => {
    const rig = newRig();
    await fetched(rig, [], 'one', `Vary: ${named('a', 10).join()}`);
    rig.clock.advance(61_000);
    await fetched(rig, [], 'two', `Vary: ${named('b', 6).join()}`);
    expect(marker(rig).names).toEqual([...named('a', 10), ...named('b', 6)]);
    rig.clock.advance(61_000);
    await fetched(rig, [], 'three', `Vary: ${named('c', 2).join()}`);
    expect(marker(rig).names).toEqual(named('c', 2));
  });

  it('are no longer known to be there than the last answer that said so is kept, where upstream has ceased to vary', async () => {
    const rig = newRig();
    await fetched(rig, ['Accept-Language: de'], 'deutsch', byLanguage);
    const { retainUntilMs } = marker(rig);
    rig.clock.advance(HOUR);
    await fetched(rig, ['Accept-Language: en'], 'for all');
    expect(marker(rig).retainUntilMs).toBe(retainUntilMs);
    await fetched(rig, ['Accept-Language: fr'], 'français', byLanguage);
    expect(marker(rig).retainUntilMs).toBe(retainUntilMs + HOUR);
  });

  it('let whoever wants the language of the answer wait for it with others', async () => {
    const rig = newRig();
    await fetched(rig, ['Accept-Language: en'], 'english', byLanguage, 'Content-Language: en');
    const first = rig.get('/p', 'Accept-Language: de');
    await rig.settle();
    const same = rig.get('/p', 'Accept-Language: DE');
    await rig.settle();
    expect(rig.calls).toHaveLength(2);
    rig.call(1).answer(200, 'deutsch', fieldsOf('Cache-Control: max-age=60', byLanguage, 'Content-Language: de'));
    expect([(await first).text, (await same).text]).toEqual(['deutsch', 'deutsch']);
  });

  it('give a waiter whose language it is not an answer of its own', async () => {
    const rig = newRig();
    const german = rig.get('/p', 'Accept-Language: de');
    const english = rig.get('/p', 'Accept-Language: en');
    await rig.settle();
    expect(rig.calls).toHaveLength(1);
    rig.call(0).answer(200, 'deutsch', fieldsOf('Cache-Control: max-age=60', byLanguage, 'Content-Language: de'));
    expect((await german).text).toBe('deutsch');
    await rig.settle();
    rig.call(1).answer(200, 'english', fieldsOf('Cache-Control: max-age=60', byLanguage, 'Content-Language: en'));
    expect((await english).text).toBe('english');
  });

  describe('of a URL that was not known to vary', () => {
    const languages = ['de', 'en', 'fr'];

    it('are fetched once each, however many wait', async () => {
      const rig = newRig();
      const wanted = Array.from({ length: 30 }, (_, index) => languages[index % 3] ?? 'none');
      const asked = wanted.map((language) => rig.get('/p', `Accept-Language: ${language}`));
      await rig.settle();
      expect(rig.calls).toHaveLength(1);
      answerFrom(rig, 0);
      await rig.settle();
      expect(rig.calls).toHaveLength(3);
      // Who comes now waits with them.
      const late = rig.get('/p', 'Accept-Language: fr');
      await rig.settle();
      answerFrom(rig, 1);
      const seen = await Promise.all(asked);
      expect(seen.map(({ text }) => text)).toEqual(wanted);
      expect(seen.filter(({ cacheStatus }) => cacheStatus.includes('collapsed'))).toHaveLength(27);
      expect((await late).text).toBe('fr');
      expect(rig.calls).toHaveLength(3);
    });

    it('are not given to who came after a purge that their fetch had begun before', async () => {
      const rig = newRig();
      const asked = languages.map((language) => rig.get('/p', `Accept-Language: ${language}`));
      await rig.settle();
      answerFrom(rig, 0);
      await rig.settle();
      await rig.purge('u:/p');
      const late = rig.get('/p', 'Accept-Language: fr');
      await rig.settle();
      expect(rig.calls).toHaveLength(4);
      answerFrom(rig, 3, 'new ');
      answerFrom(rig, 1);
      expect((await Promise.all(asked)).map(({ text }) => text)).toEqual(languages);
      expect((await late).text).toBe('new fr');
      expect(await held(rig, 'Accept-Language: fr')).toBe('new fr');
    });

    it('are fetched by each alone where upstream tells them apart by yet another field', async () => {
      const rig = newRig();
      const asked = ['de', 'en', 'en'].map((language, index) =>
        rig.get('/p', `Accept-Language: ${language}`, `Accept: a/${index}`),
      );
      await rig.settle();
      answerFrom(rig, 0);
      await rig.settle();
      expect(rig.calls).toHaveLength(2);
      rig.call(1).answer(200, 'first', fieldsOf('Cache-Control: max-age=60', 'Vary: Accept-Language, Accept'));
      await rig.settle();
      rig.call(2).answer(200, 'second', fieldsOf('Cache-Control: max-age=60', 'Vary: Accept-Language, Accept'));
      expect((await Promise.all(asked)).map(({ text }) => text)).toEqual(['de', 'first', 'second']);
    });
  });

  describe('where another process has put one in another language in their place', () => {
    const both = 'Accept-Language: en, fr';

    /** The marker tells of English under `en,fr` still. */
    async function replaced(status = 200, language = 'fr'): Promise<ExchangeRig> {
      const rig = newRig();
      await fetched(rig, [both], 'english', byLanguage, 'Content-Language: en');
      const item = rig.memory.peek('forecast|/p accept-language=en,fr')?.item;
      if (item?.kind !== 'response') throw new Error('no variant');
      const fields = fieldsOf('Cache-Control: max-age=60', byLanguage, `Content-Language: ${language}`);
      const french = { ...item, status, fields, body: Buffer.from('français'), requestTimeMs: item.requestTimeMs + 1 };
      rig.clock.advance(1);
      expect(rig.memory.put(french)).toBe('stored');
      return rig;
    }

    it.each([
      [200, 'fr'],
      [404, 'en'],
    ])('serve who wants what the marker has promised no longer: %i, %s', async (status, language) => {
      const rig = await replaced(status, language);
      const seen = rig.get('/p', 'Accept-Language: en');
      await rig.settle();
      rig.call(1).answer(200, 'own', fieldsOf('Cache-Control: max-age=60', byLanguage, 'Content-Language: en'));
      expect(await seen).toMatchObject({ text: 'own', fwd: 'vary-miss' });
      expect(await held(rig, 'Accept-Language: en')).toBe('own');
      expect(await held(rig, both)).toBe('français');
    });

    it('leave what is stored for who sends just the same', async () => {
      const rig = await replaced();
      const position = rig.local.position();
      const own = rig.stored('/p', { fields: fieldsOf('Cache-Control: max-age=60', byLanguage) });
      rig.memory.put({ ...own, position, key: 'forecast|/p accept-language=en', body: Buffer.from('own') });
      expect(await held(rig, 'Accept-Language: en')).toBe('own');
    });

    it('are given to nobody who waits for the language that they were in', async () => {
      const rig = newRig();
      await fetched(rig, [both], 'english', byLanguage, 'Content-Language: en');
      rig.clock.advance(61_000);
      const first = rig.get('/p', 'Accept-Language: en');
      const second = rig.get('/p', 'Accept-Language: EN');
      const third = rig.get('/p', 'Accept-Language: en;q=0.9');
      await rig.settle();
      expect(rig.calls).toHaveLength(2);
      rig.call(1).answer(200, 'français', fieldsOf('Cache-Control: max-age=60', byLanguage, 'Content-Language: fr'));
      expect([(await first).text, (await second).text]).toEqual(['français', 'français']);
      await rig.settle();
      rig.call(2).answer(200, 'own', fieldsOf('Cache-Control: max-age=60', byLanguage, 'Content-Language: en'));
      expect((await third).text).toBe('own');
    });
  });

  it('of an upstream that says its language now and then are found as they were stored last', async () => {
    const rig = newRig();
    await fetched(rig, ['Accept-Language: en, de'], 'deutsch', byLanguage, 'Content-Language: de');
    rig.clock.advance(61_000);
    await fetched(rig, ['Accept-Language: de'], 'auch deutsch', byLanguage);
    expect(await held(rig, 'Accept-Language: de')).toBe('auch deutsch');
    expect(await held(rig, 'Accept-Language: en, de')).toBeUndefined();
  });

  it('that were selected by a language are validated, and stored for the request that asked', async () => {
    const rig = newRig();
    await fetched(rig, ['Accept-Language: en, de'], 'deutsch', byLanguage, 'Content-Language: de', 'ETag: "1"');
    rig.clock.advance(61_000);
    const seen = rig.get('/p', 'Accept-Language: de');
    await rig.settle();
    expect(rig.call(1).fields).toContainEqual(['if-none-match', '"1"']);
    rig.call(1).answer(304, '', fieldsOf('Cache-Control: max-age=60', byLanguage));
    expect(await seen).toMatchObject({ text: 'deutsch', outcome: 'revalidated' });
    expect(marker(rig).languages).toEqual([
      ['de', 'de'],
      ['de', 'de,en'],
    ]);
    expect(await held(rig, 'Accept-Language: de, fr;q=0.1')).toBe('deutsch');
  });
});

describe('the marker of a key whose answers vary', () => {
  it('names what all of them do, sixteen fields at most, and past that those of the latest', async () => {
    const rig = newRig();
    const namesAfter = async (index: number): Promise<readonly string[]> => {
      await fetched(rig, [`Accept: a/${index}`], String(index), `Vary: Accept, X-${index}`);
      return marker(rig).names;
    };
    let names: readonly string[] = [];
    for (let index = 1; index <= 15; index += 1) names = await namesAfter(index);
    expect(names).toHaveLength(16);
    expect(await namesAfter(16)).toEqual(['accept', 'x-16']);
  });

  it('is kept no longer for an answer that says no more what it varies by', async () => {
    const rig = newRig();
    await fetched(rig, ['Accept: a/a'], 'one', 'Vary: Accept');
    const { retainUntilMs } = marker(rig);
    rig.clock.advance(30_000);
    await fetched(rig, ['Accept: a/b'], 'two');
    expect(marker(rig)).toMatchObject({ names: ['accept'], retainUntilMs });
    expect([await held(rig, 'Accept: a/a'), await held(rig, 'Accept: a/b')]).toEqual(['one', 'two']);
  });
});
