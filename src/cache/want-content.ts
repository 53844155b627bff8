import { type ContentForm, type ContentOutcome, type KeyedContent, readContent } from '../core/content-key.ts';
import { withoutFields } from '../core/fields.ts';
import type { GraphqlReader } from '../core/graphql-text.ts';
import { deriveKey } from '../core/key.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { RouteMatch } from '../core/route-table.ts';
import type { Handled } from './handled.ts';
import type { MaybePromise, Sha256 } from './ports.ts';

/** A request with what its key needs of its content, once that is there. */
export interface KeyableRequest extends ProxyRequest {
  readonly content?: KeyedContent | undefined;
}

/** A request whose content has to be read before it can be looked up. */
export interface Unread {
  readonly match: RouteMatch;
  readonly request: ProxyRequest;
  readonly form: ContentForm;
}

/** Content that its key cannot hold, or that may do more than read. */
type ContentRelay = Extract<ContentOutcome, { kind: 'relay' }>;

/** What can become of such a request. */
export interface ContentEnds {
  readonly sha256: Sha256;
  /** There where a route needs it. */
  readonly graphql: GraphqlReader | undefined;
  answer(request: KeyableRequest): MaybePromise<Handled>;
  /** To upstream as it came. */
  relay(why: ContentRelay): Handled;
  refuse(problem: Problem): Handled;
}

/**
 * Conditions and ranges are defined for GET, HEAD and QUERY (RFC 9110 §13.1, §14.2; RFC 10008 §2.6): of a POST they
 * would ask for something else, or nothing.
 */
const notOfPost: ReadonlySet<string> = new Set(['if-none-match', 'if-modified-since', 'range', 'if-range']);

/** Asks for the content of a request. What its URL alone is refused for is refused before anything of it is read. */
export function wantContent({ match, request, form }: Unread, ends: ContentEnds): Handled {
  const keyed = deriveKey(match, request, ends.sha256);
  if (!keyed.ok) return ends.refuse(keyed.error);
  return {
    kind: 'content',
    wanted: {
      route: match.route,
      maxBytes: match.route.content?.maxBytes ?? 0,
      url: keyed.value.url,
      resume: (bytes) => {
        const read = readContent(form, bytes, ends.graphql);
        switch (read.kind) {
          case 'reject':
            return ends.refuse(read.problem);
          case 'relay':
            return withContent(ends.relay(read), bytes);
          case 'keyed':
            return ends.answer(withKeyedContent(request, read.content));
        }
      },
    },
  };
}

/** The request as it is looked up. */
export function withKeyedContent(request: ProxyRequest, content: KeyedContent): KeyableRequest {
  const { method, fields } = request;
  if (method !== 'POST') return { ...request, content };
  return { ...request, fields: withoutFields(fields, notOfPost), special: undefined, content };
}

function withContent(handled: Handled, content: Uint8Array): Handled {
  return handled.kind === 'relay' ? { kind: 'relay', relay: { ...handled.relay, content } } : handled;
}
