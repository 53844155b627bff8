import { clientDirectives, noDirectives } from '../core/client-directives.ts';
import { contentCodings, decideCoding } from '../core/content-coding.ts';
import { fieldValue } from '../core/fields.ts';
import { special, specialOf } from '../core/special-fields.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import type { Ask } from './respond.ts';

/** Whether the request gets the whole stored response as it is: no condition, no part, no other coding, no directive that counts. */
export function isPlain(
  { route, requestFields, special: known }: Ask,
  { fields }: StoredResponse,
  isCoded: boolean,
): boolean {
  const has = known ?? specialOf(requestFields);
  if ((has & SPECIAL) === 0) return true;
  if ((has & PARTIAL) !== 0) return false;
  if ((has & special.cacheControl) !== 0 && clientDirectives(route.policy, requestFields) !== noDirectives)
    return false;
  return !isCoded || decideCoding(fields, requestFields).kind !== 'take-off';
}

const PARTIAL = special.ifNoneMatch | special.ifModifiedSince | special.range;
/** Which codings a request takes counts where content has one. */
export const NARROWING = PARTIAL | special.cacheControl;
// Without Accept-Encoding a client takes any coding.
const SPECIAL = NARROWING | special.acceptEncoding;

/** Whether there is a coding to take off of content. */
export function isCodedContent({ fields, body }: StoredResponse): boolean {
  return body.length > 0 && contentCodings(fieldValue(fields, 'content-encoding')).length > 0;
}
