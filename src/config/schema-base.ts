import * as v from 'valibot';
import { didYouMean, nearest } from './suggest.ts';
import { given, type Shown } from './schema-scalars.ts';
import { quoted } from './units.ts';

/** Options of the contract whose work comes later: said in a sentence rather than as an unknown key. */
const laterOptions: Readonly<Record<string, string>> = {
  quota: 'quotas are not available in this version; remove the option',
};

/** The message for a word that is none of the valid ones. */
export function notOneOf(input: unknown, valid: readonly string[]): string {
  if (input === undefined) return `is required: one of ${valid.join(', ')}`;
  if (typeof input !== 'string') return `expected one of ${valid.join(', ')}, given ${given(input)}`;
  return `expected one of ${valid.join(', ')}, given ${quoted(input)}${nearHint(input, valid)}`;
}

function nearHint(input: string, valid: readonly string[]): string {
  const hint = didYouMean(input, valid);
  return hint.startsWith('; did') ? hint : '';
}

/** One of a few words. */
export function choice<const T extends readonly string[]>(valid: T) {
  return v.picklist(valid, (issue) => notOneOf(issue.input, valid));
}

const emptyList = 'is empty; it needs at least one value';

/** Says so too where one of the members is refused: Valibot would not count them then. */
function counted<S extends v.GenericSchema>(
  schema: S,
  kind: 'list' | 'map',
  tooMany: (count: number) => string | undefined,
): S {
  return {
    ...schema,
    '~run': (dataset: v.UnknownDataset, config: v.Config<v.BaseIssue<unknown>>) => {
      const parsed = schema['~run'](dataset, config);
      const { typed, value } = parsed;
      if (typed || typeof value !== 'object' || value === null) return parsed;
      if (Array.isArray(value) !== (kind === 'list')) return parsed;
      const message = tooMany(Object.keys(value).length);
      // oxlint-disable-next-line no-underscore-dangle -- exported by Valibot for schemas of one's own
      if (message !== undefined) v._addIssue(v.never(), 'length', parsed, config, { message });
      return parsed;
    },
  };
}

/** A list of 1 to `max` values. `needed`: it cannot be left out. */
export function listOf<T extends v.GenericSchema>(item: T, max: number, needed: 'needed' | 'optional' = 'optional') {
  const tooMany = (count: number | string): string => `has at most ${max} values, given ${count}`;
  const list = v.pipe(
    v.array(item, (issue) => `expected a list, given ${given(issue.input)}`),
    v.minLength(1, needed === 'needed' ? emptyList : `${emptyList}, or the option is left out`),
    v.maxLength(max, (issue) => tooMany(issue.received)),
  );
  return counted(list, 'list', (count) => (count > max ? tooMany(count) : undefined));
}

/** A list, or one value of it alone. */
export function oneOrMany<T extends v.GenericSchema>(item: T, max: number) {
  const many = v.array(item, (issue) => `expected a value or a list of values, given ${given(issue.input)}`);
  const lenient: typeof many = {
    ...many,
    '~run': (dataset, config) =>
      many['~run'](typeof dataset.value === 'string' ? { value: [dataset.value] } : dataset, config),
  };
  const tooMany = `has at most ${max} values`;
  const list = v.pipe(
    lenient,
    v.minLength(1, `${emptyList}, or the option is left out`),
    v.maxLength(max, tooMany),
    v.metadata({ type: ['array', 'string'] }),
  );
  return counted(list, 'list', (count) => (count > max ? tooMany : undefined));
}

/** A map of names to values. */
export function recordOf<V extends v.GenericSchema>(
  value: V,
  options: {
    readonly max: number;
    readonly name?: (key: string) => string | undefined;
    readonly min?: number;
    readonly shown?: Shown;
  },
) {
  const name = v.pipe(
    v.string(),
    v.rawCheck(({ dataset, addIssue }) => {
      const problem = dataset.typed ? options.name?.(dataset.value) : undefined;
      if (problem !== undefined) addIssue({ message: problem });
    }),
  );
  const record = v.record(name, value, (issue) => `expected a map, given ${given(issue.input, options.shown)}`);
  const tooMany = `has at most ${options.max} entries`;
  const entries = v.pipe(
    refusingLists(record),
    v.minEntries(options.min ?? 0, 'is empty'),
    v.maxEntries(options.max, tooMany),
  );
  return counted(entries, 'map', (count) => (count > options.max ? tooMany : undefined));
}

/** What an issue with an unknown key expects: the key that was probably meant, or none. */
function meantBy(key: string, known: readonly string[]): string {
  return nearest(key, known) ?? 'never';
}

/** A map with the given keys and no others; every key that is not among them is an issue of its own. */
export function map<const E extends v.ObjectEntries>(entries: E, shown?: Shown): v.StrictObjectSchema<E, undefined> {
  const known = Object.keys(entries);
  const lenient = v.object(entries, (issue) =>
    issue.expected === 'Object' ? `expected a map, given ${given(issue.input, shown)}` : 'is required',
  );
  const run: typeof lenient = refusingLists(lenient);
  // Valibot's strictObject stops at the first unknown key.
  return {
    ...v.strictObject(entries),
    '~run': (dataset, config) => {
      const input = dataset.value;
      const parsed = run['~run'](dataset, config);
      if (typeof input !== 'object' || input === null || Array.isArray(input)) return parsed;
      const whole: Record<string, unknown> = { ...input };
      for (const [key, value] of Object.entries(whole)) {
        if (Object.hasOwn(entries, key)) continue;
        const message = laterOptions[key] ?? `unknown key${didYouMean(key, known)}`;
        const path: [v.ObjectPathItem] = [{ type: 'object', origin: 'key', input: whole, key, value }];
        // oxlint-disable-next-line no-underscore-dangle -- exported by Valibot for schemas of one's own
        v._addIssue(v.never(), 'key', parsed, config, { input: key, expected: meantBy(key, known), message, path });
      }
      return parsed;
    },
  };
}

/** To Valibot an array is an object; in a file it is a mistake. */
function refusingLists<S extends v.GenericSchema>(schema: S): S {
  const noMap = v.never((issue) => `expected a map, given ${given(issue.input)}`);
  return {
    ...schema,
    '~run': (dataset: v.UnknownDataset, config: v.Config<v.BaseIssue<unknown>>) =>
      Array.isArray(dataset.value) ? noMap['~run'](dataset, config) : schema['~run'](dataset, config),
  };
}

type Described<S extends v.GenericSchema, D> = v.SchemaWithPipe<
  readonly [v.OptionalSchema<S, D>, v.DescriptionAction<v.InferOutput<v.OptionalSchema<S, D>>, string>]
>;

/** An option with its description and perhaps a default, written as in the file. */
export function option<S extends v.GenericSchema>(schema: S, description: string): Described<S, undefined>;
export function option<S extends v.GenericSchema, const D extends v.InferInput<S>>(
  schema: S,
  description: string,
  fallback: D,
): Described<S, D>;
export function option<S extends v.GenericSchema>(schema: S, description: string, fallback?: v.InferInput<S>) {
  const optional = v.optional(schema, fallback);
  return v.pipe(isCollection(schema) ? emptyAsLeftOut(optional) : optional, v.description(description));
}

/** True for maps and lists; a schema with steps behind it has the type of its first. */
function isCollection(schema: object): boolean {
  return 'type' in schema && ['strict_object', 'record', 'array'].includes(String(schema.type));
}

/** True for what {@link option} makes of a map or list, whose key may stand there without a value. */
export function mayBeEmpty(schema: object): boolean {
  const wrapped = 'wrapped' in schema ? schema.wrapped : undefined;
  return typeof wrapped === 'object' && wrapped !== null && isCollection(wrapped);
}

/** A section of which all is commented out is there with nothing in it. */
function emptyAsLeftOut<S extends v.GenericSchema>(schema: S): S {
  return {
    ...schema,
    '~run': (dataset: v.UnknownDataset, config: v.Config<v.BaseIssue<unknown>>) =>
      schema['~run'](dataset.value === null ? { value: undefined } : dataset, config),
  };
}

/** An option that must be there. */
export function required<S extends v.GenericSchema>(schema: S, description: string) {
  return v.pipe(schema, v.description(description));
}

/** What {@link option} and {@link required} say of the options of a map; for the generator, whose library loses some. */
export function descriptionsIn(schema: object): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (!('entries' in schema) || typeof schema.entries !== 'object' || schema.entries === null) return found;
  const entries: Record<string, v.GenericSchema> = { ...schema.entries };
  for (const [name, entry] of Object.entries(entries)) found.set(name, v.getDescription(entry) ?? '');
  return found;
}
