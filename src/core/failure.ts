/** Ways in which a call upstream can fail without a complete response; `stale-if-error` covers each of them. */
export type FailureKind =
  | 'dns'
  | 'connect'
  | 'tls'
  | 'reset'
  | 'timeout'
  | 'malformed'
  | 'truncated'
  | 'too-large'
  | 'aborted';
