import { type ContentForm, type ContentRelayReason, contentTooLarge, readContent } from '../core/content-key.ts';
import { hasField } from '../core/fields.ts';
import type { GraphqlReader } from '../core/graphql-text.ts';
import type { Fwd } from '../core/outcome.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import { type KeyableRequest, withKeyedContent } from './want-content.ts';

/** What a request comes to with its content. */
export type ExplainedContent =
  | { readonly kind: 'answer'; readonly request: KeyableRequest }
  | {
      readonly kind: 'relay';
      readonly fwd: Fwd;
      readonly reason: ContentRelayReason;
      readonly why?: string;
    }
  | { readonly kind: 'reject'; readonly problem: Problem };

/** A request whose content, if any, is at hand. */
export interface WholeRequest extends ProxyRequest {
  readonly body: Uint8Array;
}

/** What the exchange makes of content, without waiting for it. `form`: `undefined` where the key needs none. */
export function explainContent(
  route: Route,
  { body, ...request }: WholeRequest,
  { form, graphql }: { readonly form: ContentForm | undefined; readonly graphql: GraphqlReader | undefined },
): ExplainedContent {
  if (form === undefined) return { kind: 'answer', request };
  const maxBytes = route.content?.maxBytes ?? 0;
  if (body.length > maxBytes) {
    // Its length is declared unless its framing says otherwise, though an operator need not write it down.
    const isDeclared = !hasField(request.fields, 'transfer-encoding');
    if (form.method === 'POST' && isDeclared) return { kind: 'relay', fwd: 'bypass', reason: 'content-length' };
    return { kind: 'reject', problem: contentTooLarge(maxBytes) };
  }
  const read = readContent(form, body, graphql);
  return read.kind === 'keyed' ? { kind: 'answer', request: withKeyedContent(request, read.content) } : read;
}
