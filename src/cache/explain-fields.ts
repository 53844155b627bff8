import { countedDirectives } from '../core/cache-control.ts';
import { contentCodings, decideCoding } from '../core/content-coding.ts';
import { type FieldLines, fieldValue, hasField } from '../core/fields.ts';
import { fieldsOfOneCaller } from '../core/hop-by-hop.ts';
import { MAX_INTERIM_RESPONSES } from '../core/interim.ts';
import type { Route } from '../core/route.ts';
import { sharedDespiteAuthorization } from '../core/storage-policy.ts';
import type { StoredResponse } from '../core/stored-response.ts';
import type { DryAnswer } from './dry-run.ts';
import type { ExplainedNote } from './explained-http.ts';
import type { Ask } from './respond.ts';

/** Of ruled routes. */
export const withoutCodings = 'the route stores content without its coding, the same for all';

/** By which right the answer to one caller is for all, and what of it is not. */
export function sharingNotes(
  { route, requestFields }: Ask,
  answer: DryAnswer,
  stored: StoredResponse,
): readonly ExplainedNote[] {
  const notes: ExplainedNote[] = [];
  const isOfCaller = hasField(requestFields, 'authorization') && !route.headers.includes('authorization');
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

/** What becomes of the coding of an answer that comes now. */
export function answerCodingNotes(
  ask: Ask,
  answer: DryAnswer,
  stored: StoredResponse | undefined,
): readonly ExplainedNote[] {
  // There is no content to take it off of.
  if (ask.head || answer.status === 304) return [];
  if (ask.route.policy.upstreamCacheControl !== 'honour') {
    return coding(
      answer.fields,
      `is taken off when it comes, if it is one that the proxy knows: ${withoutCodings} (RFC 9110 §8.4)`,
    );
  }
  return stored === undefined
    ? coding(answer.fields, 'stays on: what is not stored is passed on as it comes')
    : codingNotes(ask, stored.fields);
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
