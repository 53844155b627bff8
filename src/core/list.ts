/**
 * Cuts a list-valued field at its commas (RFC 9110 §5.6.1), quoted strings kept whole, members without surrounding
 * white space, empty members included. A quote that is never closed counts as an ordinary character, and so do all after
 * it: a broken quoted string must not hide a `no-store` behind it. Linear in the length of the value.
 */
export function splitList(value: string): readonly string[] {
  const members: string[] = [];
  let start = 0;
  let index = 0;
  let quotesClose = true;
  while (index < value.length) {
    const char = value[index];
    if (char === '"' && quotesClose) {
      const end = endOfQuoted(value, index);
      quotesClose = end !== undefined;
      index = end ?? index + 1;
      continue;
    }
    if (char === ',') {
      members.push(trimOws(value.slice(start, index)));
      start = index + 1;
    }
    index += 1;
  }
  members.push(trimOws(value.slice(start)));
  return members;
}

/** The text without spaces and tabs at its ends (OWS, RFC 9110 §5.6.3); other white space is data. */
export function trimOws(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isOws(text[start])) start += 1;
  while (end > start && isOws(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

/** What a complete quoted-string says (RFC 9110 §5.6.4); `undefined` where the text is not exactly one. */
export function unquote(text: string): string | undefined {
  if (text[0] !== '"' || endOfQuoted(text, 0) !== text.length) return undefined;
  return text.slice(1, -1).replaceAll(/\\(.)/gs, '$1');
}

/** Index behind the closing quote of the quoted-string that opens at `open`; `undefined` when it is never closed. */
function endOfQuoted(text: string, open: number): number | undefined {
  for (let index = open + 1; index < text.length; index += 1) {
    if (text[index] === '\\') index += 1;
    else if (text[index] === '"') return index + 1;
  }
  return undefined;
}

function isOws(char: string | undefined): boolean {
  return char === ' ' || char === '\t';
}
