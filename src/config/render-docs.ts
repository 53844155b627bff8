/** As much of JSON Schema as the documentation reads. */
export interface JsonSchema {
  readonly $schema?: string | undefined;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[] | undefined;
  readonly type?: unknown;
  readonly properties?: Readonly<Record<string, unknown>> | undefined;
  readonly additionalProperties?: unknown;
  readonly items?: unknown;
  readonly anyOf?: readonly unknown[] | undefined;
  readonly oneOf?: readonly unknown[] | undefined;
  readonly required?: readonly string[] | undefined;
  readonly 'x-type'?: unknown;
}

const mark = /(<!-- options:([\w.*[\]]+) -->\n)[\s\S]*?(<!-- end -->)/g;

/** Fills the tables between `<!-- options:PATH -->` and `<!-- end -->`; `[]` is a list's item, `*` any name. */
export function renderDocs(current: string, schema: JsonSchema): string {
  return current.replaceAll(mark, (_whole, begin: string, path: string, end: string) => {
    const found = path.split('.').reduce<JsonSchema | undefined>((node, step) => node && childOf(node, step), schema);
    return `${begin}\n${found ? section(found) : `No such option: ${path}.`}\n\n${end}`;
  });
}

/** The paths of the marked tables, for the test that none is missing. */
export function markedPaths(current: string): readonly string[] {
  return [...current.matchAll(mark)].map((found) => found[2] ?? '');
}

/** The schema below another one: a property, a list's item (`[]`) or the value of any name (`*`). */
function childOf(node: JsonSchema, step: string): JsonSchema | undefined {
  if (step === '[]') return asSchema(node.items);
  if (step === '*') return asSchema(node.additionalProperties);
  return asSchema(node.properties?.[step]);
}

/** The schema, where it is one rather than `false` or nothing. */
export function asSchema(value: unknown): JsonSchema | undefined {
  return typeof value === 'object' && value !== null ? value : undefined;
}

function section(schema: JsonSchema): string {
  return schema.oneOf ? variants(schema.oneOf) : table(rows(schema, ''));
}

interface Row {
  readonly name: string;
  readonly type: string;
  readonly fallback: string;
  readonly meaning: string;
}

function rows(schema: JsonSchema, prefix: string): readonly Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]) => {
    const option = asSchema(value) ?? {};
    const row: Row = {
      name: `\`${prefix}${name}\``,
      type: typeOf(option),
      fallback: fallbackOf(option, schema.required?.includes(name) === true),
      meaning: option.description ?? '',
    };
    // Named things and lists have tables of their own.
    return option.properties ? [row, ...rows(option, `${prefix}${name}.`)] : [row];
  });
}

function typeOf(option: JsonSchema): string {
  if (typeof option['x-type'] === 'string') return option['x-type'];
  const words = asSchema(option.anyOf?.[0])?.enum;
  if (words) return words.map((word) => `\`${String(word)}\``).join(', ');
  if (typeof option.const === 'string') return `\`${option.const}\``;
  if (option.items !== undefined) {
    return `${takesOne(option.type) ? 'one or a ' : ''}list of: ${typeOf(asSchema(option.items) ?? {})}`;
  }
  if (option.additionalProperties !== undefined && !option.properties) {
    return `names to: ${typeOf(asSchema(option.additionalProperties) ?? {})}`;
  }
  return 'map';
}

/** True for a list that may be written as its only value. */
function takesOne(type: unknown): boolean {
  return Array.isArray(type) && type.includes('string');
}

function fallbackOf(option: JsonSchema, required: boolean): string {
  if (required) return 'required';
  if (typeof option.default !== 'string' || option.default === '') return '';
  return `\`${option.default}\``;
}

function table(lines: readonly Row[]): string {
  const cells = lines.map((row) => [row.name, row.type, row.fallback, row.meaning].map(escapeCell));
  const all = [['Option', 'Type', 'Default', 'Meaning'], ['---', '---', '---', '---'], ...cells];
  return all.map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** Rules that differ by their `type`: what all have once, then each type with what it has beside. */
function variants(schemas: readonly unknown[]): string {
  const kinds = schemas.map((schema) => rows(asSchema(schema) ?? {}, ''));
  const [first = []] = kinds;
  const shared = first.filter(
    (row) => row.name !== '`type`' && kinds.every((kind) => kind.some((one) => one.name === row.name)),
  );
  const names = new Set(shared.map((row) => row.name));
  const lines = kinds.map((kind) => {
    const type = kind.find((row) => row.name === '`type`');
    const own = kind.filter((row) => row !== type && !names.has(row.name) && !row.name.includes('.'));
    return `| ${type?.type ?? ''} | ${escapeCell(type?.meaning ?? '')} | ${own.map((row) => row.name).join(', ')} |`;
  });
  const own = new Map(
    kinds
      .flat()
      .filter((row) => row.name !== '`type`' && !names.has(row.name) && !row.name.includes('.'))
      .map((row) => [row.name, row]),
  );
  return [
    '| `type` | Values | Options of its own |\n| --- | --- | --- |',
    ...lines,
    '',
    'Options of all types:',
    '',
    table(shared),
    '',
    'Options of some types:',
    '',
    table([...own.values()]),
  ].join('\n');
}
