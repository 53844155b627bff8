import { createHash } from 'node:crypto';
import { array, assert as assertProperty, constantFrom, oneof, option, property, string, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FieldLines } from '../../src/core/fields.ts';
import {
  baseKeyOf,
  isInLanguage,
  languagesWith,
  MAX_MARKER_LANGUAGES,
  promisedLanguage,
  varyNames,
  variantKey,
  type VariantRules,
} from '../../src/core/vary.ts';
import { fieldsOf, routeOf } from '../support/policy.ts';
import { keyed, tableOf } from '../support/routes.ts';

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function keyOf(names: readonly string[], fields: FieldLines): string {
  return variantKey('honoured|/a?b=c', { names }, fields, sha256);
}

function shownAs(value: string): string {
  return keyOf(['accept'], [['accept', value]]).slice('honoured|/a?b=c '.length);
}

describe('the names in Vary (RFC 9110 §12.5.5)', () => {
  it.each<[readonly string[], readonly string[] | '*']>([
    [[], []],
    [['Vary: Accept'], ['accept']],
    [['Vary: CDN-Loop, Accept'], ['accept']],
    [
      ['Vary: B, a', 'Vary: ,A,'],
      ['a', 'b'],
    ],
    [['Vary: *'], '*'],
    [['Vary: a, *'], '*'],
    [['Vary: a', 'Vary: , *,'], '*'],
    [['Vary:'], []],
  ])('%j: %j', (lines, expected) => {
    expect(varyNames(fieldsOf(...lines))).toEqual(expected);
  });
});

describe('the key of a variant (RFC 9111 §4.1)', () => {
  it('is the base key, the names and what was sent', () => {
    const fields = fieldsOf('Accept: text/html, */*', 'Accept-Language: de');
    expect(keyOf(['accept', 'accept-language', 'prefer'], fields)).toBe(
      'honoured|/a?b=c accept=text/html,*/*|accept-language=de|prefer',
    );
  });

  it('is the same for the same lines, joined or not, with white space round commas or not', () => {
    const spellings = [['Accept: a,b'], ['Accept: a , b'], ['Accept: a', 'Accept:  b'], ['Other: x', 'Accept: a,\tb']];
    const keys = spellings.map((lines) => keyOf(['accept'], fieldsOf(...lines)));
    expect(new Set(keys).size).toBe(1);
  });

  it('tells apart absent, empty, another order, another case and white space that means something', () => {
    const spellings = [
      [],
      ['Accept:'],
      ['Accept: a,b'],
      ['Accept: b,a'],
      ['Accept: A,b'],
      ['Accept: "a, b"'],
      ['Accept: "a,b"'],
    ];
    const keys = spellings.map((lines) => keyOf(['accept'], fieldsOf(...lines)));
    expect(new Set(keys).size).toBe(spellings.length);
  });

  it('tells a character from others that are written alike', () => {
    expect(shownAs('\u{10}0')).toBe('accept=%100');
    expect(shownAs('\u{100}')).toBe('accept=%u0100');
    expect(shownAs('a\u{9}b')).toBe('accept=a%09b');
  });

  it('shows up to 80 characters, and a digest of more', () => {
    expect(keyOf(['accept'], fieldsOf(`Accept: ${'a'.repeat(80)}`))).toMatch(/ accept=a{80}$/);
    expect(keyOf(['accept'], fieldsOf(`Accept: ${'a'.repeat(81)}`))).toMatch(/ accept=#[0-9a-f]{32}$/);
  });

  it('has the base key in it, which is its own where nothing varies', () => {
    expect(baseKeyOf(keyOf(['accept'], fieldsOf('Accept: a b')))).toBe('honoured|/a?b=c');
    expect(baseKeyOf('honoured|/a?b=c')).toBe('honoured|/a?b=c');
  });

  it('shows no value of a field that may hold a credential', () => {
    for (const line of [
      'Authorization: Bearer sesame',
      'X-Api-Key: sesame',
      'Cookie: id=sesame',
      'X-Anything: sesame',
    ]) {
      const [[name]] = [fieldsOf(line)[0] ?? ['', '']];
      expect(keyOf([name], fieldsOf(line))).not.toContain('sesame');
      expect(keyOf([name], fieldsOf(line))).toMatch(/=#[0-9a-f]{32}$/);
    }
  });

  it('is bounded by a digest', () => {
    const long = keyOf(['user-agent'], fieldsOf(`User-Agent: ${'x'.repeat(10_000)}`));
    expect(long.length).toBeLessThan(100);
    expect(keyOf(['user-agent'], fieldsOf(`User-Agent: ${'x'.repeat(10_001)}`))).not.toBe(long);
  });

  it('is injective: equal for two requests only if they sent the same', () => {
    const names = ['accept', 'origin', 'x-other'];
    const value = option(oneof(constantFrom('a', '', '#', '%', '|', '=', '||', '%41', 'ä', '\u0100'), string()));
    const request = tuple(value, value, value);
    const fieldsFor = (values: readonly (string | null)[]): FieldLines =>
      names.flatMap((name, index) => {
        const given = values[index] ?? null;
        return given === null ? [] : [[name, given] as const];
      });
    assertProperty(
      property(request, request, (one, other) => {
        const same = JSON.stringify(one.map(normal)) === JSON.stringify(other.map(normal));
        expect(keyOf(names, fieldsFor(one)) === keyOf(names, fieldsFor(other))).toBe(same);
      }),
      { seed: 10, numRuns: 5000 },
    );
  });
});

/** The key, and how many digests were made for it. */
function counted(names: readonly string[], ...lines: readonly string[]): [key: string, digests: number] {
  let count = 0;
  const counting = (text: string): string => {
    count += 1;
    return sha256(text);
  };
  return [variantKey('h|/p', { names }, fieldsOf(...lines), counting), count];
}

describe('the key of a variant of a field that has come before', () => {
  it('is not worked out anew, up to 256 characters, and the same as when it was', () => {
    const [most, tooMany] = [256, 257].map((length) => `Accept: ${'r'.repeat(length)}`);
    const first = counted(['accept'], most ?? '');
    expect(first[1]).toBe(1);
    expect(counted(['accept'], most ?? '')).toEqual([first[0], 0]);
    const long = counted(['accept'], tooMany ?? '');
    expect(long[1]).toBe(1);
    expect(counted(['accept'], tooMany ?? '')).toEqual(long);
  });

  it('is worked out each time of a field that may hold a credential, and of one with several lines', () => {
    const several = ['Accept: a', `Accept: ${'s'.repeat(90)}`];
    for (const lines of [['Authorization: Bearer sesame'], several]) {
      const names = fieldsOf(...lines.slice(0, 1)).map(([name]) => name);
      const first = counted(names, ...lines);
      expect(first[1]).toBe(1);
      expect(counted(names, ...lines)).toEqual(first);
    }
  });

  it('tells fields of one value apart', () => {
    expect(keyOf(['accept'], fieldsOf('Accept: A;q=1'))).toMatch(/ accept=A/);
    expect(keyOf(['accept-encoding'], fieldsOf('Accept-Encoding: A;q=1'))).toMatch(/ accept-encoding=a$/);
    expect(keyOf(['accept-language'], fieldsOf('Accept-Language: A;q=1'))).toMatch(/ accept-language=a$/);
  });

  it('is right although more values come by than are remembered', () => {
    const keys = Array.from({ length: 2000 }, (_, index) => [
      keyOf(['accept-encoding'], fieldsOf(`Accept-Encoding: X${index}, GZIP`)),
      keyOf(['accept-encoding'], fieldsOf('Accept-Encoding: BR, GZIP')),
    ]);
    expect(keys).toEqual(
      keys.map((_, index) => [
        `honoured|/a?b=c accept-encoding=gzip,x${index}`,
        'honoured|/a?b=c accept-encoding=br,gzip',
      ]),
    );
  });
});

describe('the key of a variant beside the keys of whole targets', () => {
  const raw = { ...routeOf({ upstreamCacheControl: 'honour' }, { name: 'h', match: '/p' }), rawQuery: true };
  const table = tableOf(raw);
  const names = ['accept', 'x-other'];

  it('is not made by a query that spells out the variant part', () => {
    const variant = variantKey(keyed(table, '/p?a').key, { names: ['accept'] }, fieldsOf('Accept: x'), sha256);
    for (const forged of ['/p?a|accept=x', '/p?a||accept=x', '/p?a%20accept=x', '/p?a+accept=x']) {
      expect(keyed(table, forged).key).not.toBe(variant);
    }
  });

  it('is never the key of a target, nor the variant of another target, whatever the query holds', () => {
    const piece = constantFrom('a', '|', '||', '=', 'accept', '|accept=x', '%20', '+', '#', '"', '~', 'x-other', ',');
    const query = array(piece, { maxLength: 8 }).map((pieces) => pieces.join('').replaceAll('#', '%23'));
    const value = option(oneof(constantFrom('x', '', '|', '|x-other=', ' ', '||accept=x'), string()));
    assertProperty(
      property(tuple(query, value, value), query, ([one, accept, other], target) => {
        const fields: FieldLines = [
          ...(accept === null ? [] : ([['accept', accept]] as const)),
          ...(other === null ? [] : ([['x-other', other]] as const)),
        ];
        const variant = variantKey(keyed(table, `/p?${one}`).key, { names }, fields, sha256);
        const base = keyed(table, `/p?${target}`).key;
        expect(variant).not.toBe(base);
        expect(variant === variantKey(base, { names }, fields, sha256)).toBe(one === target);
      }),
      { seed: 13_831, numRuns: 3000 },
    );
  });
});

describe('what a marker promises of another request’s variant', () => {
  const names = ['accept-language'];
  const languages = [
    ['fr', 'fr,en;q=0.5'],
    ['de', 'de,fr'],
    ['fr', 'fr'],
  ] as const;

  it.each<[string, string | undefined]>([
    ['de', 'de'],
    ['DE, en;q=0.3', 'de'],
    ['fr;q=0.4', 'fr'],
    ['fr', undefined],
    ['de, fr', undefined],
    ['en', undefined],
    ['*', undefined],
  ])('for %j is %j', (sent, language) => {
    expect(promisedLanguage({ names, languages }, fieldsOf(`Accept-Language: ${sent}`))).toBe(language);
    const isOwn =
      variantKey('k', { names, languages }, fieldsOf(`Accept-Language: ${sent}`), sha256) ===
      variantKey('k', { names }, fieldsOf(`Accept-Language: ${sent}`), sha256);
    expect(isOwn).toBe(language === undefined);
  });

  it('is nothing where upstream does not vary by it, or the request has none', () => {
    expect(promisedLanguage({ names: ['accept'], languages }, fieldsOf('Accept-Language: de'))).toBeUndefined();
    expect(promisedLanguage({ names, languages }, [])).toBeUndefined();
    expect(promisedLanguage({ names }, fieldsOf('Accept-Language: de'))).toBeUndefined();
  });

  it('is kept by what was found in that one language', () => {
    const found: readonly [status: number, lines: readonly string[]][] = [
      [200, ['Content-Language: DE ']],
      [203, ['Content-Language: de']],
      [200, []],
      [200, ['Content-Language: de, en']],
      [404, ['Content-Language: de']],
    ];
    const kept = found.map(([status, lines]) => isInLanguage({ status, fields: fieldsOf(...lines) }, 'de'));
    expect(kept).toEqual([true, true, false, false, false]);
  });
});

describe('a variant that is selected by its language (RFC 9111 §4.1)', () => {
  const names = ['accept-encoding', 'accept-language'];
  const keyWith = (languages: VariantRules['languages'], ...lines: readonly string[]): string =>
    variantKey('h|/p', { names, languages }, fieldsOf(...lines), sha256);
  const german = [['de', 'de,fr;q=0.5']] as const;

  it('is the one in a language that is wanted most', () => {
    expect(keyWith(german, 'Accept-Language: EN;q=0.3, de')).toBe(keyWith(undefined, 'Accept-Language: de, fr;q=0.5'));
  });

  it.each(['en', 'en, de;q=0.9', 'de;q=0', '*', 'de-AT', 'de;q=2', ''])('is its own for %j', (wanted) => {
    expect(keyWith(german, `Accept-Language: ${wanted}`)).toBe(keyWith(undefined, `Accept-Language: ${wanted}`));
  });

  it('is no other where the other fields differ', () => {
    const key = keyWith(german, 'Accept-Language: de', 'Accept-Encoding: br');
    expect(key).toBe(keyWith(undefined, 'Accept-Language: de, fr;q=0.5', 'Accept-Encoding: br'));
    expect(key).not.toBe(keyWith(undefined, 'Accept-Language: de, fr;q=0.5', 'Accept-Encoding: gzip'));
  });

  it('is the one that was asked for just so, where there is one', () => {
    const languages = [...german, ['de', 'de'], ['fr', 'fr']] as const;
    expect(keyWith(languages, 'Accept-Language: de')).toBe(keyWith(undefined, 'Accept-Language: de'));
  });

  it('is what was just stored for such a request, whatever language that is in', () => {
    const tag = constantFrom('de', 'en', 'fr', 'de, en', '');
    const value = constantFrom(
      'de',
      'en',
      'de, en',
      'de, fr;q=0.5',
      'en;q=0.5',
      '*',
      'de;q=2',
      `de, ${'x-long, '.repeat(20)}`,
    );
    assertProperty(
      property(array(tuple(tag, value), { minLength: 1, maxLength: 20 }), (stored) => {
        let languages: VariantRules['languages'];
        for (const [language, sent] of stored) {
          const response = { status: 200, fields: fieldsOf(`Content-Language: ${language}`) };
          languages = languagesWith(languages, names, response, fieldsOf(`Accept-Language: ${sent}`));
          expect(keyWith(languages, `Accept-Language: ${sent}`)).toBe(keyWith(undefined, `Accept-Language: ${sent}`));
        }
      }),
      { seed: 16, numRuns: 3000 },
    );
  });

  it('never is in a language that the request refuses, or does not want most', () => {
    const tag = constantFrom('de', 'en', 'fr', 'de-at');
    const weight = constantFrom('', ';q=0', ';q=0.2', ';q=0.7');
    const value = array(tuple(constantFrom('de', 'en', 'fr', 'de-at', '*'), weight), { minLength: 1, maxLength: 4 });
    const header = value.map((members) => members.map((member) => member.join('')).join(', '));
    assertProperty(
      property(array(tuple(tag, header), { maxLength: 6 }), value, (stored, wanted) => {
        let languages: VariantRules['languages'];
        const languageOf = new Map<string, string>();
        for (const [language, sent] of stored) {
          const fields = fieldsOf(`Accept-Language: ${sent}`);
          languageOf.set(variantKey('h|/p', { names }, fields, sha256), language);
          const response = { status: 200, fields: fieldsOf(`Content-Language: ${language}`) };
          languages = languagesWith(languages, names, response, fields);
        }
        const own = wanted.map((member) => member.join('')).join(', ');
        const selected = keyWith(languages, `Accept-Language: ${own}`);
        const language = languageOf.get(selected);
        if (selected === keyWith(undefined, `Accept-Language: ${own}`) || language === undefined) return;
        const weights = wanted.map(([name, q]) => ({ name, q: q === '' ? 1 : Number(q.slice(3)) }));
        const top = Math.max(...weights.map((one) => one.q));
        expect(weights).toContainEqual({ name: language, q: top });
        expect(weights).not.toContainEqual({ name: language, q: 0 });
      }),
      { seed: 9111, numRuns: 5000 },
    );
  });
});

function inLanguage(language: string, status = 200) {
  return { status, fields: fieldsOf(`Content-Language: ${language}`) };
}

function asked(value: string): FieldLines {
  return fieldsOf(`Accept-Language: ${value}`);
}

describe('what was found in a language', () => {
  it('is a success, and in no other one', () => {
    const fields = fieldsOf('Content-Language: DE');
    expect([200, 299, 300, 406].map((status) => isInLanguage({ status, fields }, 'de'))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(isInLanguage({ status: 200, fields }, 'en')).toBe(false);
    expect(isInLanguage({ status: 200, fields: [['content-language', ' de\t']] }, 'de')).toBe(true);
    expect(isInLanguage({ status: 200, fields: fieldsOf('Content-Language: de', 'Content-Language: en') }, 'de')).toBe(
      false,
    );
  });
});

describe('the languages of stored variants', () => {
  const names = ['accept-language'];

  it('are remembered with what was asked for, the latest first', () => {
    const one = languagesWith(undefined, names, inLanguage('de'), asked('DE, en;q=0.5'));
    expect(one).toEqual([['de', 'de,en;q=0.5']]);
    expect(languagesWith(one, names, inLanguage('EN-gb'), asked('en'))).toEqual([
      ['en-gb', 'en'],
      ['de', 'de,en;q=0.5'],
    ]);
  });

  it.each<[string, ReturnType<typeof inLanguage>]>([
    ['of several languages', inLanguage('de, en')],
    ['of none', { status: 200, fields: [] }],
    ['that is no tag', inLanguage('de en')],
    ['that is an error', inLanguage('de', 406)],
  ])('do not hold a variant %s, nor what was there in its place', (_, response) => {
    expect(languagesWith([['de', 'de']], names, response, asked('de'))).toBeUndefined();
  });

  it('give way to what a request is answered where they would be selected before it, and else stay', () => {
    const known = [['en', 'en']] as const;
    expect(languagesWith(known, names, inLanguage('de', 406), asked('de, en'))).toBeUndefined();
    expect(languagesWith(known, names, inLanguage('fr'), asked('de, en'))).toEqual([['fr', 'de,en']]);
    expect(languagesWith(known, names, inLanguage('de'), asked('de, en'))).toEqual([['de', 'de,en'], ...known]);
  });

  it('are left as they are by a request without Accept-Language, and by a response that does not vary by it', () => {
    const known = [['de', 'de']] as const;
    expect(languagesWith(known, names, inLanguage('fr'), [])).toBe(known);
    expect(languagesWith(undefined, ['accept'], inLanguage('fr'), asked('fr'))).toBeUndefined();
  });

  it(`are ${MAX_MARKER_LANGUAGES} at most, the oldest forgotten`, () => {
    let known: VariantRules['languages'];
    const tags = Array.from({ length: MAX_MARKER_LANGUAGES + 1 }, (_, index) => `x-${index}`);
    for (const tag of tags.slice(0, -1)) known = languagesWith(known, names, inLanguage(tag), asked(tag));
    expect(known).toHaveLength(MAX_MARKER_LANGUAGES);
    known = languagesWith(known, names, inLanguage(tags.at(-1) ?? ''), asked(tags.at(-1) ?? ''));
    expect(known?.map(([language]) => language)).toEqual(tags.slice(1).toReversed());
  });

  it('hold no value that a client makes long', () => {
    const long = Array.from({ length: 30 }, (_, index) => `de;q=0.${index + 10}`).join(', ');
    expect(languagesWith(undefined, names, inLanguage('de'), asked(long))).toBeUndefined();
  });
});

/** White space round commas outside of quoted strings, said another way. */
function normal(value: string | null): string | null {
  if (value === null || value.includes('"')) return value;
  return value.replaceAll(/[ \t]*,[ \t]*/g, ',').replaceAll(/^[ \t]+|[ \t]+$/g, '');
}
