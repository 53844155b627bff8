import { byCodeUnit } from './normalise.ts';
import { ok, refused, type Result } from './problem.ts';
import { hasBrokenEscape, parseQuery, recodeQueryText } from './query.ts';

/**
 * One spelling for all `application/x-www-form-urlencoded` texts with the same pairs: percent-encoded in one way, sorted
 * by name, repeats of a name in their order. Byte by byte, so that it also serves what is not UTF-8; `name` and `name=`
 * stay two things, as in a query. Refused with words where a `%` begins no escape, which readers resolve in different ways.
 *
 * @param text one character for each byte
 */
export function canonicalForm(text: string): Result<string, string> {
  if (hasBrokenEscape(text)) return refused('holds a % that two hexadecimal digits do not follow');
  const pairs = parseQuery(text).map(({ rawName, rawValue }) => {
    const name = recodeQueryText(rawName);
    return { name, text: rawValue === undefined ? name : `${name}=${recodeQueryText(rawValue)}` };
  });
  return ok(
    pairs
      .toSorted((a, b) => byCodeUnit(a.name, b.name))
      .map((pair) => pair.text)
      .join('&'),
  );
}
