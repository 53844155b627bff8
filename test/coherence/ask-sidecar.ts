import { ask, type Ask, type Reply } from '../support/http.ts';

/** Longer than any fault lasts. */
export const patienceMs = 10_000;

/** `undefined`: nobody answered, or not to the end. */
export async function askOf(port: number | undefined, target: string, options: Ask): Promise<Reply | undefined> {
  if (port === undefined) return undefined;
  try {
    return await ask(`http://127.0.0.1:${port}`, target, options);
  } catch {
    return undefined;
  }
}
