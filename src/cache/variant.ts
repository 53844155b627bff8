import { isInLanguage, promisedLanguage, type VariantRules } from '../core/vary.ts';
import type { StoredItem } from '../core/stored-response.ts';
import type { FillInput } from './fill-types.ts';
import type { Sha256 } from './ports.ts';
import { sentFields, variantKeyOf } from './store-fill.ts';

/** The variant that a request selects by a marker. */
export interface Variant {
  readonly key: string;
  /** Where that is another request's, by its language: what has to be there, else the request's own counts. */
  readonly promise?: VariantPromise;
}

export interface VariantPromise {
  readonly language: string;
  readonly ownKey: string;
}

/** The variant that these request fields select (RFC 9111 §4.1). */
export function variantOf(
  sha256: Sha256,
  input: Pick<FillInput, 'route' | 'keyed' | 'requestFields'>,
  rules: VariantRules,
): Variant {
  const key = variantKeyOf(sha256, input, rules);
  if (rules.languages === undefined) return { key };
  const language = promisedLanguage(rules, sentFields(input));
  if (language === undefined) return { key };
  return { key, promise: { language, ownKey: variantKeyOf(sha256, input, { names: rules.names }) } };
}

/** Whether it is what the marker has promised. */
export function isKept(promise: VariantPromise | undefined, item: StoredItem): boolean {
  return promise === undefined || (item.kind === 'response' && isInLanguage(item, promise.language));
}
