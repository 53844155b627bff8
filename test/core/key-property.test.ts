import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fieldValue, type FieldLine, type FieldLines } from '../../src/core/fields.ts';
import type { KeyedRequest } from '../../src/core/request.ts';
import type { RouteTable } from '../../src/core/route-table.ts';
import { routeOf } from '../support/policy.ts';
import { decimal, exact, folded, integer, keyOf, ruleOf, rulesOf, tableOf } from '../support/routes.ts';
import { Dice, spellBytes, spellText, unfold, unroundNumber } from '../support/spellings.ts';

/** What a request means, beyond how it is spelt. `kept`: bytes as latin1; a value that is `undefined` has no `=`. */
interface Meaning {
  readonly path: string;
  readonly typed: Readonly<Record<string, string | undefined>>;
  readonly kept: readonly (readonly [name: string, value: string | undefined])[];
  readonly fields: readonly (readonly [name: string, value: string])[];
}

interface Spelling {
  readonly target: string;
  readonly fields: FieldLines;
}

const weather = routeOf(
  {},
  {
    name: 'weather',
    match: '/weather/:station/*',
    forward: '/v1/{station}/{0}',
    params: rulesOf(
      ruleOf('location', folded, { required: true, aliases: ['city', 'q'] }),
      ruleOf('note', exact),
      ruleOf('days', integer, { default: '7' }),
      ruleOf('units', { type: 'enum', values: ['metric', 'imperial'], fold: true }, { default: 'metric' }),
      ruleOf('lat', decimal(2, -90, 90)),
      ruleOf('wet', { type: 'boolean' }),
      ruleOf('aqi', { type: 'boolean', words: ['yes', 'no'] }),
      ruleOf('fields', { type: 'set', fold: true }, { repeat: true }),
      ruleOf('order', { type: 'list', fold: false }),
      ruleOf('at', { type: 'datetime', floorMs: 300_000 }),
      ruleOf('on', { type: 'date' }),
      ruleOf('pass', exact, { secret: true }),
    ),
    ignore: ['_', 'utm_source'],
    secret: ['apikey'],
    headers: ['x-tenant', 'accept', 'authorization'],
    tags: ['location:{location}', 'f:{fields}', 's:{station}'],
  },
);

/** The same with keys that are all cut. */
const short = { ...weather, name: 'short', match: '/short/:station/*', maxKeyBytes: 96 };

const typedValues: Readonly<Record<string, readonly (string | undefined)[]>> = {
  location: ['berlin', 'lima', 'lima sur', 'münchen', 'são paulo', 'a;b', 'a&days=8', 'x=y', '', 'a|b', '+'],
  note: [undefined, undefined, '', 'A', 'a', 'e\u0301', '\u00e9', ' a', 'a+b', '100%', '#'],
  days: [undefined, undefined, '8', '0', '-1'],
  units: [undefined, 'imperial'],
  lat: [undefined, '0', '52.52', '-0.01', '90'],
  wet: [undefined, 'true', 'false'],
  aqi: [undefined, undefined, 'yes', 'no'],
  fields: [undefined, 'a', 'a,b', 'a,b,c d', 'ab'],
  order: [undefined, 'a,b', 'b,a', 'a,,b'],
  at: [undefined, '2026-11-23T10:05:00Z', '2026-11-23T10:05:00', '2026-11-23T10:10:00Z'],
  on: [undefined, '2026-01-02', '2026-11-23'],
  pass: [undefined, undefined, 's1', 's2', 'S1'],
};

const keptNames = [
  'x',
  'X',
  'x[]',
  '__proto__',
  'constructor',
  '\xff',
  '\xfe',
  'location ',
  'Days',
  'c3a9',
  '\xc3\xa9',
  'e\xcc\x81',
  ';days',
  'a;b',
];
const keptValues = [
  undefined,
  '',
  '1',
  ' ',
  '+',
  '%',
  'a,b',
  'b,a',
  '\xff',
  '\xfe',
  '\xc0\xaf',
  '/',
  '&',
  '=',
  ';apikey=1',
  '#',
  '|x=1',
  '\0',
];
const fieldValues = ['', 'a', 'b', 'a, b', 'a|accept=b', '%7C', '#', 'A', '\xe9'];
const paths = ['s1/a', 's1/a%2Fb', 's1/a/b', 's1/a%2fb', 's2/', 's%31/a', 's1/a%252Fb', 's1/a%7C'];

function meaningOf(dice: Dice): Meaning {
  return {
    path: dice.pick(paths),
    typed: Object.fromEntries(
      Object.entries(typedValues).map(([name, values]) => [
        name,
        dice.chance(3) || name === 'location' ? dice.pick(values) : undefined,
      ]),
    ),
    kept: Array.from({ length: dice.roll(4) }, () => [dice.pick(keptNames), dice.pick(keptValues)] as const),
    fields: ['accept', 'authorization', 'x-tenant'].flatMap((name) =>
      dice.chance(3) ? [[name, dice.pick(fieldValues)] as const] : [],
    ),
  };
}

/** The same meaning with one thing changed, perhaps to what it was. */
function changed(dice: Dice, meaning: Meaning): Meaning {
  const other = meaningOf(dice);
  const name = dice.pick(Object.keys(typedValues));
  return dice.pick([
    { ...meaning, path: other.path },
    { ...meaning, kept: other.kept },
    { ...meaning, kept: meaning.kept.toReversed() },
    { ...meaning, kept: meaning.kept.slice(1) },
    { ...meaning, fields: other.fields },
    { ...meaning, typed: { ...meaning.typed, [name]: other.typed[name] ?? (name === 'location' ? 'x' : undefined) } },
    { ...meaning, typed: { ...meaning.typed, [name]: dice.pick(typedValues[name] ?? []) } },
  ]);
}

/** Two requests mean the same if these are the same; the order of kept parameters counts within a name only. */
function identity(meaning: Meaning): string {
  const kept = meaning.kept.toSorted((a, b) => (a[0] === b[0] ? 0 : a[0] < b[0] ? -1 : 1));
  const typed = Object.entries(meaning.typed).map(([name, value]) => [name, value ?? null]);
  return JSON.stringify([meaning.path, typed, kept.map(([name, value]) => [name, value ?? null]), meaning.fields]);
}

const otherSpellings: Readonly<Record<string, (dice: Dice, value: string) => string>> = {
  location: unfold,
  units: unfold,
  days: (dice, value) => unroundNumber(dice, value, false),
  lat: (dice, value) =>
    value === '52.52' && dice.chance(3)
      ? dice.pick(['52.5249', '52.515', '52.519999999999999999'])
      : unroundNumber(dice, value, true),
  wet: (dice, value) => dice.pick(value === 'true' ? ['true', '1', 'YES', 'True'] : ['false', '0', 'no', ' FALSE ']),
  aqi: (dice, value) => dice.pick(value === 'yes' ? ['yes', 'true', '1', 'Yes'] : ['no', 'false', '0', ' NO ']),
  fields: (dice, value) =>
    dice
      .shuffled([...value.split(','), ...value.split(',').slice(dice.roll(3))])
      .map((item) => unfold(dice, item))
      .join(dice.pick([',', ', ', ',,'])),
  order: (dice, value) => value.replaceAll(',', dice.pick([',', ' ,', ', '])),
  at: (dice, value) =>
    dice.pick([
      value,
      value.replace('T', ' '),
      value.replace(':00Z', ':59.9Z').replace(/:00$/, ':01'),
      value.replace('10:10:00Z', '12:12:13+02:00'),
    ]),
  on: (dice, value) => dice.pick([value, value.replace('-01-02', '-1-2')]),
};

function spellTyped(dice: Dice, name: string, value: string): string {
  return otherSpellings[name]?.(dice, value) ?? value;
}

function typedPairs(dice: Dice, name: string, value: string | undefined): string[] {
  const defaults: Readonly<Record<string, string>> = { days: '7', units: 'metric' };
  const given = value ?? (dice.chance(2) ? defaults[name] : undefined);
  if (given === undefined) return [];
  const names = name === 'location' ? ['location', 'city', 'q'] : [name];
  const pair = (text: string): string => `${spellText(dice, dice.pick(names), false)}=${spellText(dice, text)}`;
  if (name === 'fields' && dice.chance(3))
    return dice.shuffled(given.split(',')).map((item) => pair(unfold(dice, item)));
  const once = pair(spellTyped(dice, name, given));
  return dice.chance(6) ? [once, pair(spellTyped(dice, name, given))] : [once];
}

function spell(dice: Dice, route: string, meaning: Meaning): Spelling {
  const typed = Object.entries(meaning.typed).flatMap(([name, value]) => typedPairs(dice, name, value));
  const noise = ['', `_=${dice.roll(1000)}`, 'utm_source=x', 'APIkey=k1', '%61pikey=k2', '_', '%5F=%FF'].filter(() =>
    dice.chance(5),
  );
  const kept = meaning.kept.map(([name, value]) => {
    const spelt = spellBytes(dice, Buffer.from(name, 'latin1'), false);
    return value === undefined ? spelt : `${spelt}=${spellBytes(dice, Buffer.from(value, 'latin1'), true)}`;
  });
  const order = dice.shuffled([...typed, ...noise, ...kept.map(() => undefined)]);
  const remaining = [...kept];
  const query = order.map((piece) => piece ?? remaining.shift() ?? '').join('&');
  const fields = meaning.fields.flatMap(([name, value]): FieldLine[] =>
    value.includes(', ') && dice.chance(2) ? value.split(', ').map((part) => [name, part] as const) : [[name, value]],
  );
  const noiseFields: FieldLine[] = [
    ['user-agent', String(dice.roll(1000))],
    ['x-forwarded-for', '::1'],
    ['cookie', 'a=b'],
  ];
  return {
    target: `/${route}/${meaning.path}?${query}`,
    fields: [...fields, ...noiseFields.filter(() => dice.chance(3))],
  };
}

interface Tally {
  equal: number;
  different: number;
  refused: number;
}

function upstreamBytes(keyed: KeyedRequest): string {
  return JSON.stringify([
    keyed.canonical.upstream,
    keyed.canonical.method,
    keyed.canonical.target,
    keyed.canonical.fields,
  ]);
}

/** What a hit is known by before there is a key, as a text that is another for all else. */
function knownBy({ values: known }: KeyedRequest): string | undefined {
  return known && JSON.stringify([known.path, known.values, known.hash]);
}

/** The invariant: one key, one upstream request, one URL, one set of tags, and where there are values, these. Answers whether the keys are equal, `undefined` where one is refused. */
function checkPair(table: RouteTable, a: Spelling, b: Spelling, tally: Tally): boolean | undefined {
  const first = keyOf(table, a.target, a.fields);
  const second = keyOf(table, b.target, b.fields);
  if (!first.ok || !second.ok) {
    tally.refused += 1;
    return undefined;
  }
  const equal = first.value.key === second.value.key;
  tally[equal ? 'equal' : 'different'] += 1;
  if (equal !== (upstreamBytes(first.value) === upstreamBytes(second.value))) {
    throw new Error(`${first.value.key}\n${second.value.key}\n${JSON.stringify([a, b])}`);
  }
  const [known, other] = [knownBy(first.value), knownBy(second.value)];
  if (known !== undefined && other !== undefined && equal !== (known === other)) {
    throw new Error(`values that are no key: ${JSON.stringify([known, other, a, b])}`);
  }
  if (equal && (first.value.url !== second.value.url || first.value.tags.join('\n') !== second.value.tags.join('\n'))) {
    throw new Error(`one key, two URLs or sets of tags: ${JSON.stringify([first.value, second.value])}`);
  }
  return equal;
}

const PAIRS = 50;

function checkSpellings(table: RouteTable, route: string, runs: number): Tally {
  const tally: Tally = { equal: 0, different: 0, refused: 0 };
  fc.assert(
    fc.property(fc.integer({ min: 0 }), (seed) => {
      const dice = new Dice(seed);
      for (let pair = 0; pair < PAIRS; pair += 1) {
        const meaning = meaningOf(dice);
        const other = dice.pick([meaning, changed(dice, meaning), changed(dice, meaning), meaningOf(dice)]);
        const a = spell(dice, route, meaning);
        const b = spell(dice, route, other);
        const equal = checkPair(table, a, b, tally);
        if (equal === undefined) throw new Error(`refused: ${JSON.stringify([a, b])}`);
        if (equal !== (identity(meaning) === identity(other))) throw new Error(JSON.stringify([meaning, other, a, b]));
      }
    }),
    { seed: 20261123, numRuns: runs },
  );
  return tally;
}

test(
  'over 80,000 pairs of spellings, equal meaning, equal keys and equal upstream requests are one',
  { timeout: 120_000 },
  () => {
    const tally = checkSpellings(tableOf(weather), 'weather', 1700);
    expect(tally.equal + tally.different).toBeGreaterThanOrEqual(80_000);
    expect(tally.equal).toBeGreaterThan(20_000);
    expect(tally.different).toBeGreaterThan(20_000);
  },
);

test('over 20,000 pairs the same holds for keys that are cut', { timeout: 120_000 }, () => {
  const table = tableOf(short);
  const tally = checkSpellings(table, 'short', 420);
  expect(tally.equal).toBeGreaterThan(5000);
  expect(tally.different).toBeGreaterThan(5000);
});

const pieces = [
  'a',
  'b',
  'A',
  '=',
  '=',
  '&',
  '&',
  ';',
  '+',
  '%20',
  '%2B',
  '%26',
  '%3D',
  '%3B',
  '%2C',
  '%2c',
  ',',
  '%FF',
  '%ff',
  '%FE',
  '%C0%AF',
  '%ED%A0%80',
  '%00',
  '%C3%A9',
  'e%CC%81',
  '__proto__',
  'constructor',
  'n',
  'n',
  'n=1',
  'n=01',
  'n=1.0',
  's=b,a',
  's=a',
  's=b',
  't',
  't=',
  'T=',
  'key=1',
  'KEY=2',
  'k%65y=3',
  '|',
  '||',
  '|h=',
  '~',
  '%7E',
  '%7C',
  '?',
  '/',
  '..',
  '%',
  '%2',
  "'",
  '!',
  '%21',
  '%23',
];

function randomQuery(dice: Dice): string {
  return Array.from({ length: dice.roll(7) }, () => dice.pick(pieces)).join(dice.pick(['', '&', '&']));
}

/** The query with one piece put in, taken out, or spelt in another way. */
function nearQuery(dice: Dice, query: string): string {
  const swaps: readonly (readonly [string, string])[] = [
    ['%20', '+'],
    ['%2C', ','],
    ['%2c', '%2C'],
    ['%FF', '%ff'],
    ['%7E', '~'],
    ['n=01', 'n=1'],
    ['s=b,a', 's=a&s=b'],
    ['|', '||'],
    [';', '&'],
    ['%FF', '%FE'],
    ['e%CC%81', '%C3%A9'],
    ['key=1', 'KEY=2'],
  ];
  const [from, to] = dice.pick(swaps);
  const at = dice.roll(query.length + 1);
  return dice.pick([
    query,
    query.replaceAll(from, to),
    query.split('&').toReversed().join('&'),
    query.slice(0, at) + dice.pick(pieces) + query.slice(at),
    `${query}&`,
    `${query}&n=5`,
  ]);
}

const rules = {
  params: rulesOf(
    ruleOf('n', integer, { default: '5' }),
    ruleOf('s', { type: 'set', fold: true }, { repeat: true }),
    ruleOf('t', folded, { aliases: ['a'] }),
  ),
  secret: ['key'],
  ignore: ['b'],
  headers: ['h'],
};

const hostile = tableOf(
  routeOf({}, { name: 'keep', match: '/keep', ...rules, unknownQuery: 'keep' }),
  routeOf({}, { name: 'drop', match: '/drop', ...rules, unknownQuery: 'drop' }),
  routeOf({}, { name: 'reject', match: '/reject', ...rules, unknownQuery: 'reject' }),
  routeOf({}, { name: 'raw', match: '/raw', rawQuery: true, secret: ['key'], headers: ['h'] }),
  routeOf({}, { name: 'bounded', match: '/bounded', ...rules, maxKeyBytes: 96, unknownQuery: 'keep' }),
);

test(
  'over 60,000 pairs of hostile queries, equal keys and equal upstream requests are one',
  { timeout: 120_000 },
  () => {
    const tallies = new Map<string, Tally>();
    const headers: readonly FieldLines[] = [[], [['h', '']], [['h', 'a']], [['h', '=']], [['h', '|h=']]];
    fc.assert(
      fc.property(fc.integer({ min: 0 }), (seed) => {
        const dice = new Dice(seed);
        for (let pair = 0; pair < PAIRS; pair += 1) {
          const route = dice.pick(['keep', 'drop', 'reject', 'raw', 'bounded']);
          const tally = tallies.get(route) ?? { equal: 0, different: 0, refused: 0 };
          tallies.set(route, tally);
          const query = randomQuery(dice);
          const fields = dice.pick(headers);
          const a = { target: `/${route}?${query}`, fields };
          const near = {
            target: `/${route}?${nearQuery(dice, query)}`,
            fields: dice.chance(4) ? dice.pick(headers) : fields,
          };
          // A query that ends like a keyed field.
          const cloaked = { target: `${a.target}|h=${fieldValue(fields, 'h') ?? ''}`, fields: [] };
          checkPair(hostile, a, dice.chance(8) ? cloaked : near, tally);
        }
      }),
      { seed: 42, numRuns: 1400 },
    );
    for (const [route, tally] of tallies) {
      expect([route, tally.equal > 500, tally.different > 500]).toEqual([route, true, true]);
    }
    expect([...tallies.values()].reduce((sum, { equal, different }) => sum + equal + different, 0)).toBeGreaterThan(
      30_000,
    );
  },
);

test(
  'over 20,000 pairs of paths, equal keys and equal upstream requests are one, and so are URLs',
  { timeout: 120_000 },
  () => {
    const table = tableOf(
      routeOf(
        {},
        {
          name: 'points',
          match: '/points/:lat,:lon',
          pathParams: rulesOf(ruleOf('lat', decimal(2)), ruleOf('lon', decimal(2))),
        },
      ),
      routeOf(
        {},
        {
          name: 'artists',
          match: '/artists/:artist{/:year}?',
          forward: '/v3/{year}/{artist}',
          pathParams: rulesOf(ruleOf('artist', folded), ruleOf('year', integer, { default: '2026' })),
        },
      ),
      routeOf({}, { name: 'dropped', match: '/dropped/:x{/extra}?/*', forward: '/fixed/{0}' }),
      routeOf(
        {},
        {
          name: 'secret',
          match: '/secret/:token',
          forward: '/s/{token}',
          pathParams: rulesOf(ruleOf('token', exact, { secret: true })),
        },
      ),
    );
    const segments: Readonly<Record<string, readonly string[]>> = {
      points: ['52.52,13.4', '52.520,13.40', '52.5199,%2B13.4', '+52.52,13.4', '52.52,13.5', '-0,0', '0,-0.001'],
      artists: [
        'AC%2FDC',
        'ac%2fdc',
        'ac%2Fdc/2026',
        'ac%252Fdc',
        '%C3%A9',
        'E%CC%81/02026',
        'e',
        'a%20%20b',
        'A+b',
        'a%20b/2025',
      ],
      dropped: ['a/b', 'c/b', 'a/extra/b', 'a/extra', 'a/', 'b/extra/', 'a/b%2F', 'a/b%2f', 'a/*'],
      secret: ['a', 'b', '%61', 'a%20'],
    };
    const tally: Tally = { equal: 0, different: 0, refused: 0 };
    fc.assert(
      fc.property(fc.integer({ min: 0 }), (seed) => {
        const dice = new Dice(seed);
        for (let pair = 0; pair < PAIRS; pair += 1) {
          const route = dice.pick(Object.keys(segments));
          const spelling = (): Spelling => ({
            target: `/${route}/${dice.pick(segments[route] ?? [])}${dice.pick(['', '?', '?a'])}`,
            fields: [],
          });
          checkPair(table, spelling(), spelling(), tally);
        }
      }),
      { seed: 7, numRuns: 420 },
    );
    expect(tally.equal).toBeGreaterThan(2000);
    expect(tally.different).toBeGreaterThan(5000);
    expect(tally.refused).toBe(0);
  },
);
