/** A JSON Schema, or a part of one. */
export type Schema = Readonly<Record<string, unknown>>;

export const text = { type: 'string' } as const;
export const flag = { type: 'boolean', default: false } as const;
export const count = { type: 'integer', minimum: 0 } as const;
export const seconds = { type: 'integer', description: 'Seconds.' } as const;
export const names = { type: 'array', items: text } as const;
export const optionalText = { type: ['string', 'null'] } as const;

/** An object with these members, all of them required unless told otherwise. */
export function object(
  properties: Schema,
  required: readonly string[] = Object.keys(properties),
  more: Schema = {},
): Schema {
  return { type: 'object', properties, required, ...more };
}

/** Another schema of the document. */
export function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}
