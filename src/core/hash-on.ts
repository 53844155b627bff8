/** Of FNV-1a. */
const PRIME = 0x01000193;

/** Of longer texts the end, where texts of a kind differ. */
const HASHED = 24;

/** A hash of a text on top of another hash. */
export function hashOn(begun: number, text: string): number {
  const { length } = text;
  let hash = Math.imul(begun ^ length, PRIME);
  for (let index = length > HASHED ? length - HASHED : 0; index < length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), PRIME);
  }
  return hash;
}
