import { compileParam } from '../core/normalise.ts';
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
    aliases: input.alias ?? [],
    repeat: 'repeat' in input && input.repeat,
    secret: input.secret,
  };
  checkRanges(compilation, path, input);
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
    case 'boolean':
      return { type: input.type };
    case 'datetime':
      return { type: 'datetime', floorMs: input.floor };
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

function checkRanges(compilation: Compilation, path: Path, input: ParamInput): void {
  switch (input.type) {
    case 'integer':
    case 'decimal':
      return checkRange(compilation, path, input);
    case 'point':
      checkRange(compilation, [...path, 'lat'], input.lat);
      return checkRange(compilation, [...path, 'lon'], input.lon);
    case 'enum':
      if (new Set(input.values).size < input.values.length) {
        compilation.issues.add([...path, 'values'], 'has a word twice');
      }
      return;
    case 'text':
    case 'set':
    case 'list':
    case 'date':
    case 'boolean':
    case 'datetime':
      return;
  }
}

function checkRange(compilation: Compilation, path: Path, range: DecimalInput): void {
  if (range.min === undefined || range.max === undefined || range.min <= range.max) return;
  compilation.issues.add([...path, 'min'], `min ${range.min} is above max ${range.max}`);
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
