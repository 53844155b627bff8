import type { FieldLines } from '../core/fields.ts';
import { codingsOf, isCoded } from './decode.ts';
import type { NamedFailure } from './failure.ts';
import type { Redactor } from './redact.ts';
import type { ResponseFraming } from './response-head.ts';

/** Of what is refused because credentials could not be found in it: it is no answer to what was asked. */
export const unsearchable: NamedFailure = {
  failure: 'malformed',
  detail: 'the response is a part or in a coding that nobody asked for, so that no credential could be found in it',
};

/**
 * Whether content may show a credential that nobody could find in it: a part (206) may hold one half of it, and of a coding that
 * cannot be taken off nobody knows what is in it. An upstream with credentials is asked for neither.
 */
export function isUnsearchable(
  { active }: Pick<Redactor, 'active'>,
  answer: { readonly status: number; readonly fields: FieldLines; readonly framing: ResponseFraming },
): boolean {
  if (!active || answer.framing.kind === 'none') return false;
  return answer.status === 206 || (isCoded(answer.fields) && codingsOf(answer.fields) === undefined);
}
