/** All but visible ASCII without the comma: what a list of tags, a log line or a command could take for something else. */
const unfit = /[^!-+\--~]/gu;

/**
 * A tag as an operator writes it, in the one spelling in which upstream's tags are stored: what a tag may not hold is
 * percent-encoded, as UTF-8. A `%` stays, so that both spellings are the same tag.
 */
function tagOfText(text: string): string {
  return text.toWellFormed().replaceAll(unfit, (char) => encodeURIComponent(char));
}

/** As an operator's tag is spelt, of a field of upstream's, in which each character stands for one byte. */
export function tagOfBytes(text: string): string {
  return text.replaceAll(unfit, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code > 0xff ? tagOfText(char) : `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
  });
}

/**
 * The tags that an operator may mean: as it is written, since a configuration's own tags are never encoded; as upstream's are
 * stored; and as the name of a group, in which a `%` is encoded too.
 */
export function tagSpellings(text: string): readonly string[] {
  const whole = text.startsWith('group:') ? [tagOfText(text.replaceAll('%', '%25'))] : [];
  return [...new Set([text, tagOfText(text), ...whole])];
}
