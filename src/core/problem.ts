/** An error answer of the proxy's own, `application/problem+json` (RFC 9457). Holds nothing secret. */
export interface Problem {
  readonly status: number;
  /** Stable word for programs, the last segment of `type`: `route-not-found`, `parameter-invalid`, `upstream-unreachable`, … */
  readonly code: string;
  readonly title: string;
  /** A sentence for people; must not quote untrusted bytes beyond printable ASCII, nor any secret. */
  readonly detail: string;
  /** Seconds, for 429 and 503. */
  readonly retryAfter?: number;
  /** What was asked for has been done all the same, and holds when `retryAfter` is over: it need not be repeated. Not told to clients but by words. */
  readonly holdsLater?: true;
  /** Further members (`parameter`, `allow`, `limit`…). */
  readonly extra?: Readonly<Record<string, string | number | readonly string[]>>;
}

/** The outcome of something that can be refused. */
export type Result<T, E = Problem> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function refused<E>(error: E): { readonly ok: false; readonly error: E } {
  return { ok: false, error };
}
