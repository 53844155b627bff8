import { booleanWordsIssue, compileParam, foldText } from '../core/normalise.ts';
import type { DecimalKind, ParamKind } from '../core/params.ts';
import type { Compilation } from './compilation.ts';
import { isGiven, readable, unlessRefused } from './refused.ts';
import type { ParamInput } from './schema-params.ts';
import type { Path } from './source.ts';
import { quoted } from './units.ts';

type InputOf<T extends ParamInput['type']> = Extract<ParamInput, { type: T }>;

/** What a rule says of the values of its parameter. */
export function kindOf(input: ParamInput): ParamKind {
  switch (input.type) {
    case 'text':
    case 'set':
    case 'list':
      return { type: input.type, fold: input.fold };
    case 'integer':
      return { type: 'integer', min: input.min, max: input.max };
    case 'decimal':
      return decimalOf(input, {});
    case 'date':
      return { type: input.type };
    case 'boolean':
      return { type: 'boolean', words: wordsOf(input.as) };
    case 'datetime':
      return { type: 'datetime', floorMs: input.floor, ceilMs: input.ceil };
    case 'enum':
      return { type: 'enum', values: input.values, fold: input.fold };
    case 'point':
      return {
        type: 'point',
        lat: decimalOf(input.lat, { places: input.places, ...latitudes }),
        lon: decimalOf(input.lon, { places: input.places, ...longitudes }),
      };
  }
}

interface DecimalInput {
  readonly places?: number | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

const latitudes = { min: -90, max: 90 };
const longitudes = { min: -180, max: 180 };

function decimalOf(input: DecimalInput, fallback: DecimalInput): DecimalKind {
  return {
    type: 'decimal',
    places: input.places ?? fallback.places,
    min: input.min ?? fallback.min,
    max: input.max ?? fallback.max,
  };
}

/** What every value of a type looks like, whatever its options; `undefined` where they decide it. */
export function formOf({ type }: ParamInput): ParamKind | undefined {
  switch (type) {
    case 'integer':
      return { type, min: undefined, max: undefined };
    case 'decimal':
      return decimalOf({}, {});
    case 'point':
      return { type, lat: decimalOf({}, latitudes), lon: decimalOf({}, longitudes) };
    case 'datetime':
      return { type };
    case 'text':
    case 'set':
    case 'list':
    case 'date':
    case 'boolean':
    case 'enum':
      return undefined;
  }
}

/** The schema lets nothing but two words pass. */
function wordsOf(words: readonly string[] | undefined): readonly [string, string] | undefined {
  const [whenTrue, whenFalse] = words ?? [];
  return whenTrue === undefined || whenFalse === undefined ? undefined : [whenTrue, whenFalse];
}

/** What no value could meet, and what two rules in one would say differently. */
export function checkKind(compilation: Compilation, path: Path, input: ParamInput): void {
  switch (input.type) {
    case 'integer':
      return checkRange(compilation, path, { range: () => input, places: () => undefined });
    case 'decimal':
      return checkRange(compilation, path, { range: () => input, places: () => input.places });
    case 'point':
      return checkPoint(compilation, path, input);
    case 'enum':
      return checkWords(compilation, [...path, 'values'], input);
    case 'datetime':
      return checkSteps(compilation, [...path, 'ceil'], input);
    case 'text':
    case 'set':
    case 'list':
    case 'date':
      return;
    case 'boolean':
      return checkBoolean(compilation, [...path, 'as'], input);
  }
}

function checkBoolean({ issues }: Compilation, path: Path, input: InputOf<'boolean'>): void {
  const words = unlessRefused(() => wordsOf(input.as));
  const issue = words && booleanWordsIssue(words);
  if (issue !== undefined) issues.add(path, issue);
}

function checkSteps({ issues }: Compilation, path: Path, input: InputOf<'datetime'>): void {
  if (!isGiven(() => input.floor) || !isGiven(() => input.ceil)) return;
  issues.add(path, 'an instant is rounded down or up; keep one of floor and ceil');
}

/** Two words of one meaning: a request could get either of the two spellings. */
function checkWords({ issues }: Compilation, path: Path, input: InputOf<'enum'>): void {
  // What is given twice is so whether or not case counts.
  const fold = unlessRefused(() => input.fold) ?? false;
  const first = new Map<string, string>();
  for (const [index, word] of readable(unlessRefused(() => input.values) ?? [])) {
    const meaning = fold ? foldText(word) : word;
    const other = first.get(meaning);
    first.set(meaning, word);
    if (other === undefined) continue;
    const message = other === word ? 'is given twice' : `is the same word as ${quoted(other)} where fold is true`;
    issues.add([...path, index], `${quoted(word)} ${message}`);
  }
}

function checkPoint(compilation: Compilation, path: Path, input: InputOf<'point'>): void {
  for (const [axis, usual] of [
    ['lat', latitudes],
    ['lon', longitudes],
  ] as const) {
    const range = (): DecimalInput => ({ min: input[axis].min ?? usual.min, max: input[axis].max ?? usual.max });
    const places = (): number | undefined => input[axis].places ?? input.places;
    checkRange(compilation, [...path, axis], { range, places });
  }
}

/** Each is read on its own: what is wrong with `places` says nothing of `min` and `max`. */
interface RangeInput {
  readonly range: () => DecimalInput;
  readonly places: () => number | undefined;
}

function checkRange({ issues }: Compilation, path: Path, input: RangeInput): void {
  unlessRefused(() => {
    const { min, max } = input.range();
    if (min === undefined || max === undefined) return;
    if (min > max) {
      issues.add([...path, 'min'], `min ${min} is above max ${max}`);
      return;
    }
    const places = input.places();
    if (places === undefined) return;
    // Values are rounded before the range is checked. Where a range holds a rounded value, one of these rounds to such.
    const kind: DecimalKind = { type: 'decimal', places, min, max };
    const rule = { name: '', kind, required: false, aliases: [], repeat: false, secret: false };
    const reachable = [min, max, (min + max) / 2].some((value) => compileParam({ ...rule, default: String(value) }).ok);
    if (!reachable) issues.add([...path, 'places'], `no number of ${places} places lies between ${min} and ${max}`);
  });
}
