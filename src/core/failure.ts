/** Ways in which a call upstream can fail without a complete response; `stale-if-error` covers each of them. */
export type FailureKind =
  | 'dns'
  | 'connect'
  | 'tls'
  | 'reset'
  | 'timeout'
  /** All connections to upstream were taken for as long as the call could wait; nothing was sent. */
  | 'busy'
  | 'malformed'
  | 'truncated'
  | 'too-large'
  | 'aborted';
