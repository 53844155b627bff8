import type { FieldLine, FieldLines } from './fields.ts';
import { readName } from './read-name.ts';

/** They ask for a part, for another form of the content, or for a coding (RFC 9110 §12.5.3, §13.1.5, §14.2, RFC 3229 §10.5.3). */
const askForOther: ReadonlySet<string> = new Set(['a-im', 'accept-encoding', 'if-range', 'range']);

const identity: FieldLine = ['accept-encoding', 'identity'];

/**
 * The lines of a request whose answer has to be the whole, as it is: in it the credentials that the upstream got are looked for
 * (docs/decisions/0035-what-answers-say-of-credentials.md). Identity is asked for by name, since without Accept-Encoding any
 * coding will do.
 */
export function plainFields(fields: FieldLines): FieldLines {
  return [...fields.filter(([name]) => !askForOther.has(readName(name))), identity];
}
