import type { Credentials } from './config.ts';

/** Shorter values are not looked for: a "credential" of three letters would tear holes into every answer. In characters. */
export const MIN_MASKED_LENGTH = 4;

/** A value of this many characters is in no answer by chance, unless it is a number or a word. */
export const MIN_DISTINCT_LENGTH = 8;

/** Digits alone up to this many characters are as likely a number of the data: that is what a number in JSON holds (2^53, RFC 8259 §6). */
const MAX_NUMBER_LENGTH = 16;

/** Letters alone up to this many characters are as likely a word. */
const MAX_WORD_LENGTH = 15;

/** Every secret value that could turn up in an answer, a log line or an error: the one list of them. */
export function secretValues(credentials: Credentials): readonly string[] {
  const values: string[] = [];
  for (const kind of ['query', 'headers'] as const) {
    for (const value of credentials[kind].values()) values.push(...valuesOf(kind, value));
  }
  return [...new Set(values)];
}

/** Of one credential: `Bearer TOKEN`, and the token, since an upstream that complains about it quotes it without the scheme. */
export function valuesOf(kind: keyof Credentials, value: string): readonly string[] {
  const token = kind === 'headers' ? /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ +(\S+)$/.exec(value)?.[1] : undefined;
  return token === undefined ? [value] : [value, token];
}

/** Those that are looked for in answers. */
export function maskedValues(credentials: Credentials): readonly string[] {
  return secretValues(credentials).filter((value) => value.length >= MIN_MASKED_LENGTH);
}

/** Why a value may stand in an answer without being the credential; `undefined`: it does not. */
export function chanceOf(value: string): 'short' | 'number' | 'word' | undefined {
  if (value.length < MIN_DISTINCT_LENGTH) return 'short';
  if (value.length <= MAX_NUMBER_LENGTH && /^\d+$/.test(value)) return 'number';
  if (value.length <= MAX_WORD_LENGTH && /^(?:[A-Z]?[a-z]+|[A-Z]+)$/.test(value)) return 'word';
  return undefined;
}
