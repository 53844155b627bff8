import { splitList, trimOws } from './list.ts';

/**
 * Whether a client takes a content coding (RFC 9110 §12.5.3). A request without Accept-Encoding takes identity alone:
 * the RFC would allow anything, but clients that send none are those that cannot decode. `identity` is taken unless it
 * or `*` has q=0. `x-gzip` is `gzip`, `x-compress` is `compress` (§8.4.1).
 */
export function acceptsCoding(acceptEncoding: string | undefined, coding: string): boolean {
  const wanted = canonicalCoding(coding);
  if (wanted === '') return true;
  if (acceptEncoding === undefined) return wanted === 'identity';
  let named: boolean | undefined;
  let any: boolean | undefined;
  for (const member of splitList(acceptEncoding)) {
    const [name = '', ...parameters] = member.split(';');
    const accepted = hasQuality(parameters);
    if (canonicalCoding(name) === wanted) named ??= accepted;
    else if (trimOws(name) === '*') any ??= accepted;
  }
  return named ?? any ?? wanted === 'identity';
}

/** Codings of a Content-Encoding value in the order in which they were applied, identity left out. */
export function contentCodings(contentEncoding: string | undefined): readonly string[] {
  return splitList(contentEncoding ?? '')
    .map(canonicalCoding)
    .filter((coding) => coding !== '' && coding !== 'identity');
}

function canonicalCoding(name: string): string {
  const lower = trimOws(name).toLowerCase();
  return lower === 'x-gzip' || lower === 'x-compress' ? lower.slice(2) : lower;
}

/** False for q=0 and for a weight that is no qvalue: what cannot be read is not taken for consent. */
function hasQuality(parameters: readonly string[]): boolean {
  for (const parameter of parameters) {
    const weight = /^[ \t]*q=(?<value>.*)$/is.exec(parameter)?.groups?.['value'];
    if (weight === undefined) continue;
    return /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(trimOws(weight)) && Number(trimOws(weight)) > 0;
  }
  return true;
}
