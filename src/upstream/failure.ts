import type { FailureKind } from '../core/failure.ts';

/** A failure of a call, named: what `stale-if-error`, metrics and problem answers go by. */
export interface NamedFailure {
  readonly failure: FailureKind;
  /** For people and logs; made of fixed words and an error code alone, never of a library's message (those quote addresses and bytes). */
  readonly detail: string;
  /** `undefined`: no limit of ours. */
  readonly limit?: UpstreamLimit | undefined;
  /** As of `UpstreamFailure`. */
  readonly clientGone?: boolean;
}

/** The failure of a call whose client has gone. */
export const clientGone: NamedFailure = { failure: 'aborted', detail: 'its client had gone', clientGone: true };

/** Limits of an upstream that end a call; options of that name. */
export type UpstreamLimit =
  | 'connectTimeout'
  | 'headersTimeout'
  | 'bodyTimeout'
  | 'totalTimeout'
  | 'maxHeaderBytes'
  | 'maxBodyBytes';

/** Hears the option of each limit that a call hit: `upstreams.maxConnections` where it has to wait, else what ended it. */
export type OnUpstreamLimit = (option: `upstreams.${UpstreamLimit | 'maxConnections'}`) => void;

/** How far a call had come when it failed. */
export type CallPhase = 'connecting' | 'waiting' | 'body';

const byCode: Readonly<Record<string, FailureKind>> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNREFUSED: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  EHOSTDOWN: 'connect',
  ENETDOWN: 'connect',
  EADDRNOTAVAIL: 'connect',
  EMFILE: 'connect',
  ENFILE: 'connect',
  EACCES: 'connect',
  EPERM: 'connect',
  EPROTO: 'tls',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
  ECONNECT_TIMEOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  UND_ERR_HEADERS_OVERFLOW: 'malformed',
  UND_ERR_RES_EXCEEDED_MAX_SIZE: 'too-large',
  // Our own request could not be written: a credential or static field with characters that no field may have.
  UND_ERR_INVALID_ARG: 'malformed',
  UND_ERR_ABORTED: 'aborted',
  UND_ERR_DESTROYED: 'aborted',
  UND_ERR_CLOSED: 'aborted',
};

const limitByCode: Readonly<Record<string, UpstreamLimit>> = {
  UND_ERR_CONNECT_TIMEOUT: 'connectTimeout',
  UND_ERR_HEADERS_TIMEOUT: 'headersTimeout',
  UND_ERR_BODY_TIMEOUT: 'bodyTimeout',
  UND_ERR_HEADERS_OVERFLOW: 'maxHeaderBytes',
  HPE_HEADER_OVERFLOW: 'maxHeaderBytes',
};

const byPattern: readonly (readonly [codes: RegExp, kind: FailureKind])[] = [
  [/^EAI_/, 'dns'],
  [/^HPE_/, 'malformed'],
  [/^(?:ERR_TLS_|ERR_SSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA)/, 'tls'],
];

const words: Readonly<Record<FailureKind, string>> = {
  dns: 'the host name could not be resolved',
  connect: 'the connection was refused or there is no way to the host',
  tls: 'the TLS handshake failed',
  reset: 'the connection was reset',
  timeout: 'it took too long',
  busy: 'no connection to it became free in time',
  malformed: 'the response is not correct HTTP/1.1',
  truncated: 'the response ended before it was complete',
  'too-large': 'the response is larger than allowed',
  aborted: 'the call was ended by the proxy',
};

/** Turns whatever a connection threw into one of our kinds. Never throws. */
export function nameFailure(error: unknown, phase: CallPhase): NamedFailure {
  const code = codeOf(error);
  const named = describe(kindOf(error, code, phase), code);
  return code === undefined ? named : { ...named, limit: limitByCode[code] };
}

/** The words for a kind, for failures that we find ourselves. */
export function describe(failure: FailureKind, code?: string): NamedFailure {
  return { failure, detail: code === undefined ? words[failure] : `${words[failure]} (${code})` };
}

/** The failure of a call that hit one of the upstream's limits. */
export function pastLimit(limit: UpstreamLimit): NamedFailure {
  return { ...describe(kindByLimit[limit]), limit };
}

const kindByLimit: Readonly<Record<UpstreamLimit, FailureKind>> = {
  connectTimeout: 'timeout',
  headersTimeout: 'timeout',
  bodyTimeout: 'timeout',
  totalTimeout: 'timeout',
  maxHeaderBytes: 'malformed',
  maxBodyBytes: 'too-large',
};

function kindOf(error: unknown, code: string | undefined, phase: CallPhase): FailureKind {
  if (isCutInBody(error, code)) return phase === 'body' ? 'truncated' : 'malformed';
  if (code === undefined) return phase === 'connecting' ? 'connect' : 'malformed';
  const known = byCode[code];
  if (known === 'reset' && phase === 'connecting') return 'connect';
  if (known !== undefined) return known;
  if (code === 'UND_ERR_SOCKET') return endedByPeer(error, phase);
  const pattern = byPattern.find(([codes]) => codes.test(code));
  if (pattern !== undefined) return pattern[1];
  // What is left while a connection is made comes from OpenSSL, in dozens of codes more.
  return phase === 'connecting' ? 'tls' : 'malformed';
}

/**
 * The connection ended inside a body that its framing says is not over. undici gives its parser's errors no code. The
 * same before the end of the head comes of a Content-Length that the parser refuses.
 */
function isCutInBody(error: unknown, code: string | undefined): boolean {
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' || code === 'HPE_INVALID_EOF_STATE') return true;
  return error instanceof Error && error.name === 'HTTPParserError' && error.message.includes('Invalid EOF state');
}

/** undici has one code for "the peer sent FIN" and for responses that nobody asked for. */
function endedByPeer(error: unknown, phase: CallPhase): FailureKind {
  if (error instanceof Error && error.message.startsWith('bad ')) return 'malformed';
  return phase === 'body' ? 'truncated' : 'reset';
}

/** The error's code, or that of its first cause that has one; only plain code words are let through. */
function codeOf(error: unknown): string | undefined {
  let current: unknown = error;
  for (let depth = 0; depth < 4 && current instanceof Error; depth++) {
    const code: unknown = 'code' in current ? current.code : undefined;
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code)) return code;
    current = current instanceof AggregateError ? current.errors[0] : current.cause;
  }
  return undefined;
}
