/** One field line (RFC 9110 §5.2): the name in lower case, the value without surrounding white space. */
export type FieldLine = readonly [name: string, value: string];

/** Field lines in the order in which they were received or will be sent. */
export type FieldLines = readonly FieldLine[];

/** The combined value of a field (RFC 9110 §5.3), `undefined` when the message has no such line. */
export function fieldValue(fields: FieldLines, name: string): string | undefined {
  let combined: string | undefined;
  for (const [lineName, value] of fields) {
    if (lineName === name) combined = combined === undefined ? value : `${combined}, ${value}`;
  }
  return combined;
}

/** The values of all lines of a field, for fields whose lines may not be combined. */
export function fieldLineValues(fields: FieldLines, name: string): readonly string[] {
  let values: string[] | undefined;
  // A dozen fields are asked for of each answer that is stored, most of which it does not have: nothing is made for those.
  for (const line of fields) {
    if (line[0] !== name) continue;
    if (values === undefined) values = [line[1]];
    else values.push(line[1]);
  }
  return values ?? noValues;
}

const noValues: readonly string[] = [];

/** True where at least one line of the field is present. */
export function hasField(fields: FieldLines, name: string): boolean {
  for (const line of fields) if (line[0] === name) return true;
  return false;
}

/** The lines without those of the given names, in an array of their own. */
export function withoutFields(fields: FieldLines, names: ReadonlySet<string>): FieldLine[] {
  return fields.filter((line) => !names.has(line[0]));
}
