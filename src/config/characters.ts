import { quoted } from './units.ts';

/** Names that a JavaScript object cannot hold as plain data. */
const reservedKeys: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const control = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

/**
 * What no text of the file may hold. Nothing in it needs a line break or another control character, and in a field or
 * a log line they would be an attack.
 */
export function faultOf(text: string): string | undefined {
  const found = control.exec(text);
  if (found) {
    const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    return `holds a control character (U+${code})`;
  }
  return text.isWellFormed() ? undefined : 'holds half a surrogate pair';
}

/** What keeps text from being a key of the file. */
export function keyProblem(name: string): string | undefined {
  if (name === '<<') return 'merge keys (<<) are not supported; an alias may stand for a whole value';
  if (name === '') return 'a key must not be empty';
  if (reservedKeys.has(name)) return `the key ${name} is reserved`;
  if (name.includes('${')) return 'variables are put into values, not into keys';
  const fault = faultOf(name);
  return fault === undefined ? undefined : `the key ${quoted(name)} ${fault}`;
}
