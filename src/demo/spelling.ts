import type { Question } from './questions.ts';
import type { SeededRandom } from './seeded.ts';

type Pair = readonly [name: string, value: string];

/** One of the many ways to write a question as a request: path and query on the proxy. */
export function spell(question: Question, random: SeededRandom): string {
  const pairs = random.shuffle(pairsOf(question, random));
  return `${pathOf[question.kind]}?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}`;
}

const pathOf = {
  forecast: '/weather/forecast',
  historical: '/weather/historical',
  point: '/weather/point',
  events: '/events/search',
} as const;

function pairsOf(question: Question, random: SeededRandom): readonly Pair[] {
  switch (question.kind) {
    case 'forecast':
      return [
        ['location', spellText(question.location, random)],
        ...orLeftOut(['days', String(question.days)], question.days === 7, random),
        ...orLeftOut(['units', question.units], question.units === 'metric', random),
        // The route drops what it does not know; other routes would key it.
        ...(random.oneIn(4) ? ([['_', String(random.below(1e9))]] as const) : []),
      ];
    case 'historical':
      return [
        ['location', spellText(question.location, random)],
        ['date', question.date],
      ];
    case 'point':
      return [
        ['lat', spellDecimal(question.lat, random)],
        ['lon', spellDecimal(question.lon, random)],
        ['fields', random.shuffle(question.fields).join(random.pick([',', '%2C', '%2c']))],
      ];
    case 'events':
      return [
        ['location', spellText(question.location, random)],
        ...(question.dates === undefined
          ? []
          : ([
              ['start', question.dates.start],
              ['end', question.dates.end],
            ] as const)),
        ...(question.categories.length === 0 ? [] : [['categories', spellSet(question.categories, random)] as const]),
      ];
  }
}

/** A parameter at its default is written out by some and left out by others. */
function orLeftOut(pair: Pair, isDefault: boolean, random: SeededRandom): readonly Pair[] {
  return isDefault && random.oneIn(2) ? [] : [pair];
}

/** Another case, more space, composed or decomposed letters, and any of the ways to encode a space. */
export function spellText(text: string, random: SeededRandom): string {
  const cased = random.pick([
    text,
    text.toUpperCase(),
    text.replace(/(^|\s)\p{L}/gu, (letter) => letter.toUpperCase()),
    text.replace(/\p{L}/gu, (letter) => (random.oneIn(3) ? letter.toUpperCase() : letter)),
  ]);
  const spaced = random.oneIn(5) ? ` ${cased.replaceAll(' ', '  ')} ` : cased;
  const composed = random.oneIn(2) ? spaced.normalize('NFD') : spaced.normalize('NFC');
  return encodeURIComponent(composed).replaceAll('%20', random.pick(['%20', '+']));
}

/** More digits (which round back to the two that matter), zeros at the end, or an exponent. */
export function spellDecimal(text: string, random: SeededRandom): string {
  switch (random.below(4)) {
    case 0:
      return text;
    case 1:
      return `${text}${'0'.repeat(1 + random.below(5))}`;
    case 2:
      return `${text}${random.below(5)}${random.below(1000)}`;
    default:
      return `${text.replace('.', '')}e-2`;
  }
}

function spellSet(items: readonly string[], random: SeededRandom): string {
  const cased = items.map((item) => (random.oneIn(3) ? item.toUpperCase() : item));
  return random.shuffle(cased).join(random.pick([',', '%2C']));
}
