/**
 * What could move the cursor, recolour, reorder or hide text on a terminal: controls (C0, C1, DEL), format characters
 * (bidi overrides, zero-width), lone surrogates, line and paragraph separators. Line feeds stay.
 */
const unsafe = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text from an answer or a file made safe to print: unsafe characters as `\u{1b}`. Keeps line feeds. */
export function printable(text: string): string {
  return text.replaceAll(unsafe, escaped);
}

/** As {@link printable}, for text that has to stay on its line. */
export function printableLine(text: string): string {
  return printable(text).replaceAll('\n', '\\n');
}

/** JSON for people and programs, safe to print: the same characters escaped in JSON's own way. */
export function printableJson(value: unknown): string {
  const json = JSON.stringify(value, undefined, 2);
  return json.replaceAll(unsafe, (character) => {
    let escapes = '';
    // By code units, since JSON has no escape for characters past U+FFFF.
    for (let index = 0; index < character.length; index += 1) {
      escapes += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
    }
    return escapes;
  });
}

/** Lines with columns aligned by two spaces; columns whose index is in `right` are aligned to the right. */
export function table(rows: readonly (readonly string[])[], right: ReadonlySet<number> = new Set()): string {
  const cells = rows.map((row) => row.map(printableLine));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell));
  }
  const lines = cells.map((row) =>
    row
      .map((cell, column) => {
        const padding = ' '.repeat((widths[column] ?? 0) - width(cell));
        return right.has(column) ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

function width(text: string): number {
  return Array.from(text).length;
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
