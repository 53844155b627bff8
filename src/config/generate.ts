import { readFileSync, writeFileSync } from 'node:fs';
import { type JsonSchema as Converted, toJsonSchema } from '@valibot/to-json-schema';
import { type JsonSchema, renderDocs } from './render-docs.ts';
import { descriptionsIn, mayBeEmpty } from './schema-base.ts';
import { configSchema } from './schema.ts';

const root = new URL('../../', import.meta.url);

/** The generated JSON Schema, for editors. */
export const schemaFile = new URL('config/forecache.schema.json', root);

/** The documentation whose tables are generated. */
export const docsFile = new URL('docs/configuration.md', root);

/** The JSON Schema of the file as it is written, before variables are put in. */
export function buildJsonSchema(): JsonSchema {
  const converted = toJsonSchema(configSchema, {
    typeMode: 'input',
    ignoreActions: ['raw_check'],
    overrideSchema: ({ valibotSchema, jsonSchema }) => {
      // A variable can stand for any word.
      if (valibotSchema.type === 'picklist') {
        return { anyOf: [{ enum: jsonSchema.enum ?? [] }, { type: 'string', pattern: '\\$\\{' }] };
      }
      const described = withDescriptions(jsonSchema, descriptionsIn(valibotSchema));
      return mayBeEmpty(valibotSchema) ? { ...described, type: ['null', ...[described.type ?? []].flat()] } : described;
    },
  });
  const { $schema, ...rest } = converted;
  const title = 'Forecache configuration';
  return { $schema, title, description: 'What config/*.yaml may say. Generated from src/config/schema.ts.', ...rest };
}

/** Puts the descriptions in that the conversion loses: those that follow a transformation. */
function withDescriptions(converted: Converted, descriptions: ReadonlyMap<string, string>): Converted {
  if (descriptions.size === 0) return converted;
  const properties = Object.entries(converted.properties ?? {}).map(([name, property]) => {
    const description = descriptions.get(name) ?? '';
    return [name, typeof property === 'object' ? { ...property, description } : property] as const;
  });
  return { ...converted, properties: Object.fromEntries(properties) };
}

/** The text of {@link schemaFile} as it should be. */
export function schemaText(): string {
  return `${JSON.stringify(buildJsonSchema(), null, 2)}\n`;
}

/** The text of {@link docsFile} as it should be, from what it is: only what stands between its marks changes. */
export function docsText(current: string): string {
  return renderDocs(current, buildJsonSchema());
}

if (import.meta.main) {
  writeFileSync(schemaFile, schemaText());
  writeFileSync(docsFile, docsText(readFileSync(docsFile, 'utf8')));
}
