import { booleanWordsIssue, compileParam, foldText } from '../core/normalise.ts';
import type { DecimalKind, ParamKind, ParamRule } from '../core/params.ts';
import type { Compilation } from './compilation.ts';
import type { ParamInput } from './schema-params.ts';
import type { Path } from './source.ts';
import { quoted } from './units.ts';

/** The rules at a path of the file; what contradicts itself becomes an issue. */
export function compileParams(
  compilation: Compilation,
  path: Path,
  rules: Readonly<Record<string, ParamInput>>,
): ReadonlyMap<string, ParamRule> {
  const compiled = new Map<string, ParamRule>();
  for (const [name, input] of Object.entries(rules)) {
    compiled.set(name, compileRule(compilation, [...path, name], { name, input }));
  }
  checkNames(compilation, path, compiled);
  return compiled;
}

function compileRule(
  compilation: Compilation,
  path: Path,
  given: { readonly name: string; readonly input: ParamInput },
): ParamRule {
  const { name, input } = given;
  const rule: ParamRule = {
    name,
    kind: kindOf(input),
    required: input.required,
    default: input.default,
    aliases: ('alias' in input ? input.alias : undefined) ?? [],
    repeat: 'repeat' in input && input.repeat,
    secret: input.secret,
  };
  checkKind(compilation, path, rule.kind);
  if (input.default === undefined) return rule;
  if (input.required)
    compilation.issues.add([...path, 'required'], 'a parameter with a default is never missing; keep one of the two');
  const prepared = compileParam({ ...rule, required: false });
  if (prepared.ok) return { ...rule, default: prepared.value.default };
  // Of a secret parameter the default is a secret too.
  const shown = input.secret ? '' : `, given ${quoted(input.default)}`;
  compilation.issues.add([...path, 'default'], `${prepared.error}${shown}`);
  return rule;
}

function kindOf(input: ParamInput): ParamKind {
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
        lat: decimalOf(input.lat, { places: input.places, min: -90, max: 90 }),
        lon: decimalOf(input.lon, { places: input.places, min: -180, max: 180 }),
      };
  }
}

interface DecimalInput {
  readonly places?: number | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

function decimalOf(input: DecimalInput, fallback: DecimalInput): DecimalKind {
  return {
    type: 'decimal',
    places: input.places ?? fallback.places,
    min: input.min ?? fallback.min,
    max: input.max ?? fallback.max,
  };
}

/** What no value could meet, and what two rules in one would say differently. */
function checkKind(compilation: Compilation, path: Path, kind: ParamKind): void {
  switch (kind.type) {
    case 'integer':
    case 'decimal':
      return checkRange(compilation, path, kind);
    case 'point':
      checkRange(compilation, [...path, 'lat'], kind.lat);
      return checkRange(compilation, [...path, 'lon'], kind.lon);
    case 'enum':
      return checkWords(compilation, [...path, 'values'], kind);
    case 'datetime':
      return checkSteps(compilation, [...path, 'ceil'], kind);
    case 'text':
    case 'set':
    case 'list':
    case 'date':
      return;
    case 'boolean':
      return checkBoolean(compilation, [...path, 'as'], kind);
  }
}

/** The schema lets nothing but two words pass. */
function wordsOf(words: readonly string[] | undefined): readonly [string, string] | undefined {
  const [whenTrue, whenFalse] = words ?? [];
  return whenTrue === undefined || whenFalse === undefined ? undefined : [whenTrue, whenFalse];
}

function checkBoolean(compilation: Compilation, path: Path, kind: Extract<ParamKind, { type: 'boolean' }>): void {
  const issue = kind.words && booleanWordsIssue(kind.words);
  if (issue !== undefined) compilation.issues.add(path, issue);
}

function checkSteps(compilation: Compilation, path: Path, kind: Extract<ParamKind, { type: 'datetime' }>): void {
  if (kind.floorMs === undefined || kind.ceilMs === undefined) return;
  compilation.issues.add(path, 'an instant is rounded down or up; keep one of floor and ceil');
}

/** Two words of one meaning: a request could get either of the two spellings. */
function checkWords(compilation: Compilation, path: Path, kind: Extract<ParamKind, { type: 'enum' }>): void {
  const first = new Map<string, string>();
  for (const [index, word] of kind.values.entries()) {
    const meaning = kind.fold ? foldText(word) : word;
    const other = first.get(meaning);
    first.set(meaning, word);
    if (other === undefined) continue;
    const message = other === word ? 'is given twice' : `is the same word as ${quoted(other)} where fold is true`;
    compilation.issues.add([...path, index], `${quoted(word)} ${message}`);
  }
}

type RangeKind = Extract<ParamKind, { type: 'integer' | 'decimal' }>;

function checkRange(compilation: Compilation, path: Path, kind: RangeKind): void {
  const { min, max } = kind;
  if (min === undefined || max === undefined) return;
  if (min > max) {
    compilation.issues.add([...path, 'min'], `min ${min} is above max ${max}`);
    return;
  }
  const places = kind.type === 'decimal' ? kind.places : undefined;
  if (places === undefined) return;
  // Values are rounded before the range is checked. Where a range holds a rounded value, one of these rounds to such.
  const rule = { name: '', kind, required: false, aliases: [], repeat: false, secret: false };
  const reachable = [min, max, (min + max) / 2].some((value) => compileParam({ ...rule, default: String(value) }).ok);
  if (reachable) return;
  compilation.issues.add([...path, 'places'], `no number of ${places} places lies between ${min} and ${max}`);
}

/** A name that two rules read would make the answer depend on which of them came first. */
function checkNames(compilation: Compilation, path: Path, rules: ReadonlyMap<string, ParamRule>): void {
  const owners = new Map<string, string>([...rules.keys()].map((name) => [name, name]));
  for (const rule of rules.values()) {
    for (const alias of rule.aliases) {
      const owner = owners.get(alias);
      if (owner !== undefined) {
        compilation.issues.add(
          [...path, rule.name, 'alias'],
          `${quoted(alias)} already names the parameter ${quoted(owner)}`,
        );
      }
      owners.set(alias, rule.name);
    }
  }
}
