/** Reads of answers whose form nobody here can vouch for: another version, or another program, may be at the address. */

export type JsonRecord = Readonly<Record<string, unknown>>;

/** The value as an object, an empty one where it is none. */
export function asRecord(value: unknown): JsonRecord {
  return isRecord(value) ? value : {};
}

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as a list, an empty one where it is none. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Text and numbers as text; `undefined` for anything else, `null` among it. */
export function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** 0 where the value is no number. */
export function asNumber(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

/** As {@link asText}, with a `?` where there is none. */
export function textOr(value: unknown, otherwise = '?'): string {
  return asText(value) ?? otherwise;
}
