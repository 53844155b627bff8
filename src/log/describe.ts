/** A bug's own words and where it happened; the log masks what is secret. */
export function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
