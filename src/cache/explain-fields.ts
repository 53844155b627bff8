import { countedDirectives } from '../core/cache-control.ts';
import { contentCodings, decideCoding } from '../core/content-coding.ts';
import { type FieldLines, fieldValue, hasField } from '../core/fields.ts';
import { givesWay } from '../core/forwarded-fields.ts';
import { fieldsOfOneCaller } from '../core/hop-by-hop.ts';
import { MAX_INTERIM_RESPONSES } from '../core/interim.ts';
import type { Route } from '../core/route.ts';
import { sharedDespiteAuthorization } from '../core/storage-policy.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import type { ExplainedNote } from './explained-http.ts';
import type { Ask } from './respond.ts';
import type { SupposedHead } from './upstream-ports.ts';

/** Of ruled routes. */
export const withoutCodings = 'the route stores content without its coding, the same for all';

/** By which right the answer to one caller is for all, and what of it is not. */
export function sharingNotes(
  { route, requestFields }: Ask,
  answer: SupposedHead,
  stored: StoredResponse,
): readonly ExplainedNote[] {
  const notes: ExplainedNote[] = [];
  const isOfCaller =
    hasField(requestFields, 'authorization') &&
    !route.headers.includes('authorization') &&
    !givesWay(route, 'authorization');
  const rights = isOfCaller ? sharedDespiteAuthorization(countedDirectives(stored.fields).directives) : [];
  if (rights.length > 0) {
    const text = `the request had Authorization; the answer may be stored for all, since it says ${rights.join(', ')} (RFC 9111 §3.5)`;
    notes.push({ topic: 'storage', text });
  }
  const left = route.policy.storeFields === 'safe' ? fieldsOfOneCaller(answer.fields) : [];
  if (left.length > 0) {
    const option = route.policy.upstreamCacheControl === 'honour' ? 'storeFields: safe; ' : '';
    notes.push({
      topic: 'storage',
      text: `left out of it, as one caller’s: ${left.join(', ')} (${option}RFC 9111 §7.3)`,
    });
  }
  return notes;
}

/** What becomes of the coding of a stored response for this client. */
export function codingNotes(
  { requestFields }: Pick<Ask, 'requestFields'>,
  fields: FieldLines,
): readonly ExplainedNote[] {
  const decision = decideCoding(fields, requestFields);
  switch (decision.kind) {
    case 'identity':
      return [];
    case 'keep':
      return coding(fields, `stays on: ${decision.reason}`);
    case 'take-off':
      return coding(fields, `is taken off, if it is one that the proxy knows: ${decision.reason}`);
  }
}

/** An answer of upstream's, and what the exchange gets of it. */
interface HandedOn {
  readonly sent: SupposedHead;
  readonly received: SupposedHead;
}

/** What becomes of the coding of an answer that comes now. */
export function answerCodingNotes(
  ask: Ask,
  answer: HandedOn,
  stored: StoredResponse | undefined,
): readonly ExplainedNote[] {
  const { sent, received } = answer;
  // There is no content to take it off of.
  if (ask.head || sent.status === 304) return [];
  const isRuled = ask.route.policy.upstreamCacheControl !== 'honour';
  if (isTakenOff(answer)) return coding(sent.fields, `is taken off when it comes: ${isRuled ? byRule : byCredentials}`);
  if (isRuled) return coding(received.fields, 'stays on: it is none that the proxy can take off');
  return stored === undefined
    ? coding(received.fields, 'stays on: what is not stored is passed on as it comes')
    : codingNotes(ask, stored.fields);
}

/** The same of an answer that is relayed. */
export function relayedCodingNotes(
  { method }: { readonly method: string },
  answer: HandedOn,
): readonly ExplainedNote[] {
  const { sent, received } = answer;
  if (method === 'HEAD' || sent.status === 304) return [];
  return isTakenOff(answer)
    ? coding(sent.fields, `is taken off when it comes: ${byCredentials}`)
    : coding(received.fields, 'stays on: what is relayed is passed on as it comes');
}

const byRule = `${withoutCodings} (RFC 9110 §8.4)`;
const byCredentials = 'its upstream has credentials, which are looked for in all that it answers (RFC 9110 §8.4)';

function isTakenOff({ sent, received }: HandedOn): boolean {
  return hasField(sent.fields, 'content-encoding') && !hasField(received.fields, 'content-encoding');
}

function coding(fields: FieldLines, what: string): readonly ExplainedNote[] {
  const codings = contentCodings(fieldValue(fields, 'content-encoding'));
  return codings.length === 0 ? [] : [{ topic: 'coding', text: `Content-Encoding ${codings.join(', ')} ${what}` }];
}

/** Whether the client hears interim responses where upstream is asked for it. */
export function interimNotes({ policy }: Pick<Route, 'policy'>, isRelayed: boolean): readonly ExplainedNote[] {
  const what = "interim responses of upstream's are";
  const text =
    isRelayed || policy.upstreamCacheControl === 'honour'
      ? `${what} passed on to a client of HTTP/1.1, but for 100 and 101, and ${MAX_INTERIM_RESPONSES} at most (RFC 9110 §15.2)`
      : `${what} not passed on: on a ruled route the request upstream is the proxy's own (RFC 9110 §15.2)`;
  return [{ topic: 'interim', text }];
}
