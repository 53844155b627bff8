import { type JsonSchema, asSchema } from '../../src/config/render-docs.ts';

interface Bounds {
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** What a value breaks of a JSON Schema, of the keywords that ours uses; each fault begins with the value's path. */
export function schemaFaults(schema: JsonSchema & Bounds, value: unknown, path: string): readonly string[] {
  const fault = wordFault(schema, value) ?? scalarFault(schema, value);
  if (fault !== undefined) return [`${path} ${fault}`];
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => schemaFaults(asSchema(schema.items) ?? {}, item, `${path}[${index}]`));
  }
  return typeof value === 'object' && value !== null ? mapFaults(schema, value, path) : [];
}

function wordFault(schema: JsonSchema, value: unknown): string | undefined {
  if (schema.const !== undefined && schema.const !== value) return `is not ${JSON.stringify(schema.const)}`;
  if (schema.enum && !schema.enum.includes(value)) return `${JSON.stringify(value)} is no valid word`;
  const kinds = schema.anyOf ?? schema.oneOf;
  const fitting = kinds?.some((one) => schemaFaults(asSchema(one) ?? {}, value, '').length === 0);
  return fitting === false ? 'fits none' : undefined;
}

function scalarFault(schema: JsonSchema & Bounds, value: unknown): string | undefined {
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOfType(value, type))) return `is no ${JSON.stringify(types)}`;
  if (typeof value === 'string' && schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) {
    return `${JSON.stringify(value)} has another form`;
  }
  if (typeof value !== 'number') return undefined;
  if (value < (schema.minimum ?? value)) return `${value} is below ${schema.minimum}`;
  return value > (schema.maximum ?? value) ? `${value} is above ${schema.maximum}` : undefined;
}

function isOfType(value: unknown, type: unknown): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

function mapFaults(schema: JsonSchema, value: object, path: string): readonly string[] {
  const missing = (schema.required ?? []).filter((name) => !Object.hasOwn(value, name));
  const faults = missing.map((name) => `${path}.${name} is missing`);
  for (const [name, held] of Object.entries(value)) {
    const below = asSchema(schema.properties?.[name]) ?? asSchema(schema.additionalProperties);
    if (below) faults.push(...schemaFaults(below, held, `${path}.${name}`));
    else if (schema.additionalProperties === false) faults.push(`${path}.${name} is unknown`);
  }
  return faults;
}
