/** What a URI reference names, its bytes as they came but for dot segments. */
export interface ResolvedReference {
  /** `undefined`: the reference is relative, so it names the origin that it was resolved against. */
  readonly origin: { readonly scheme: 'http' | 'https' | undefined; readonly authority: string } | undefined;
  /** Begins with `/`. */
  readonly path: string;
  /** Without the `?`; `undefined` where there is none. */
  readonly query: string | undefined;
}

/** RFC 3986, appendix B; what comes behind a `#` names a part of the same resource. */
const PARTS = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?$/s;

/**
 * Resolves a reference, such as a Location, against the path and query of a request target (RFC 3986 §5.2). By hand, since
 * `URL` would rewrite what is keyed byte for byte (`'` becomes `%27`) and takes `\` for `/`. `undefined`: it names nothing
 * that is fetched by HTTP. Whether the result can be a target at all is for the caller to check.
 */
export function resolveReference(
  reference: string,
  base: { readonly path: string; readonly query: string | undefined },
): ResolvedReference | undefined {
  const [, schemeText, authority, path = '', query] = PARTS.exec(reference) ?? [];
  const scheme = schemeText?.toLowerCase();
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') return undefined;
  if (authority !== undefined) {
    return { origin: { scheme, authority }, path: withoutDotSegments(path === '' ? '/' : path), query };
  }
  // `http:path`: RFC 3986 §5.2.2 leaves it to old readers to take that for a relative one.
  if (scheme !== undefined) return undefined;
  return { origin: undefined, ...relative(path, query, base) };
}

function relative(
  path: string,
  query: string | undefined,
  base: { readonly path: string; readonly query: string | undefined },
): Pick<ResolvedReference, 'path' | 'query'> {
  if (path === '') return { path: base.path, query: query ?? base.query };
  const whole = path.startsWith('/') ? path : base.path.slice(0, base.path.lastIndexOf('/') + 1) + path;
  return { path: withoutDotSegments(whole), query };
}

/** RFC 3986 §5.2.4. */
function withoutDotSegments(path: string): string {
  if (!path.includes('/.')) return path;
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    if (segment !== '.' && segment !== '..') {
      kept.push(segment);
      continue;
    }
    if (segment === '..') kept.pop();
    // A dot segment at the end stands for the directory itself.
    if (index === segments.length - 1) kept.push('');
  }
  return `/${kept.join('/')}`;
}

/**
 * The text with no character percent-encoded that need not be, and hexadecimal digits in upper case: what differs in these
 * alone names the same (RFC 9110 §4.2.3, RFC 3986 §6.2.2).
 */
export function plainlySpelt(text: string): string {
  if (!text.includes('%')) return text;
  return text.replaceAll(/%[0-9A-Fa-f]{2}/g, (escape) => {
    const char = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(char) ? char : escape.toUpperCase();
  });
}
