import type { Credentials } from '../core/config.ts';
import type { FieldLine, FieldLines } from '../core/fields.ts';
import { foldWithheld, withheldName } from '../core/query.ts';
import { isReadAs } from '../core/read-name.ts';

/**
 * The target as it is sent: parameters of the credentials' names (whatever their case or spelling) are dropped, then
 * the configured ones are appended. Everything else stays byte for byte. A credential with an empty value is not put
 * on; what clients send under its name is dropped all the same.
 */
export function targetWithCredentials(target: string, credentials: Credentials): string {
  if (credentials.query.size === 0) return target;
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const names = new Set([...credentials.query.keys()].map(foldWithheld));
  const own: string[] = [];
  for (const [name, value] of credentials.query) {
    if (value !== '') own.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  }
  const query = mark === -1 ? undefined : target.slice(mark + 1);
  const kept =
    query === undefined ? [] : query.split('&').filter((part) => !names.has(withheldName(part.split('=', 1)[0] ?? '')));
  // An upstream that got `?` or `&&` gets it still, unless that is all that is left beside our own.
  const parts = kept.every((part) => part === '') && own.length > 0 ? own : [...kept, ...own];
  return parts.length === 0 ? path : `${path}?${parts.join('&')}`;
}

/** The fields as they are sent: lines whose names are read as the credentials' are dropped, then the configured ones are put on. */
export function fieldsWithCredentials(fields: FieldLines, credentials: Credentials): FieldLines {
  const kept: FieldLine[] = fields.filter(([name]) => !isReadAs(name, credentials.headers));
  for (const [name, value] of credentials.headers) {
    if (value !== '') kept.push([name, value]);
  }
  return kept;
}
