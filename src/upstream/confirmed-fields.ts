import type { FieldLines } from '../core/fields.ts';
import { weakEtag } from '../core/response-fields.ts';

/**
 * The fields of a 304 where content codings are taken off. It confirms the coded representation by its strong validator; what is
 * held here or by the client is the decoded form under the weak one that was asked with. Answering with the strong one would
 * mark those bytes as upstream's (RFC 9110 §8.8.3).
 *
 * @param asked the If-None-Match that went upstream
 */
export function confirmedFields(fields: FieldLines, asked = ''): FieldLines {
  return fields.map(([name, value]): readonly [string, string] =>
    name === 'etag' && asked.includes(weakEtag(value)) ? [name, weakEtag(value)] : [name, value],
  );
}
