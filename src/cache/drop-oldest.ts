/** Forgets what was put into the map first; an entry that is to count as new has to be taken out and put in again. */
export function dropOldest(map: Map<string, unknown>): void {
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
