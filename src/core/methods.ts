/** Methods that RFC 9110 §9.2.1 (and RFC 10008 for QUERY) define as safe. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY']);

/** True for a method that may change something upstream; unknown methods count as unsafe (RFC 9111 §4.4). */
export function isUnsafe(method: string): boolean {
  return !SAFE.has(method);
}
