import { withoutFields, type FieldLines } from './fields.ts';
import { endToEnd } from './hop-by-hop.ts';

/**
 * Interim responses (RFC 9110 §15.2) to one request that are passed on, at most; further ones are dropped. Real ones are
 * one or two (102 now and then, one 103); an upstream that sends them without end must not fill a client's connection.
 */
export const MAX_INTERIM_RESPONSES = 16;

/** RFC 9110 §8.6 forbids a length where there can be no content; some parsers would wait for it. */
const framing: ReadonlySet<string> = new Set(['content-length']);

/** What a message can carry; parsers let more of it in than may be sent on. */
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const fieldText = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The fields with which an interim response is passed on: end-to-end ones that can be sent. `undefined` where it is not
 * passed on at all: 100 answers an expectation of the one hop that it was sent on, 101 begins another protocol, and
 * what is not 1xx is no interim response.
 */
export function interimFields(status: number, fields: FieldLines): FieldLines | undefined {
  if (!Number.isInteger(status) || status < 102 || status > 199) return undefined;
  return withoutFields(endToEnd(fields), framing).filter(
    ([name, value]) => fieldName.test(name) && fieldText.test(value),
  );
}
