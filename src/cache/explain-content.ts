import { type ContentForm, contentTooLarge, readContent } from '../core/content-key.ts';
import type { Problem } from '../core/problem.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import { type KeyableRequest, withKeyedContent } from './want-content.ts';

/** What a request comes to with its content. */
export type ExplainedContent =
  | { readonly kind: 'answer'; readonly request: KeyableRequest }
  | { readonly kind: 'relay'; readonly why: string }
  | { readonly kind: 'reject'; readonly problem: Problem };

/** A request whose content, if any, is at hand. */
export interface WholeRequest extends ProxyRequest {
  readonly body: Uint8Array;
}

/** What the exchange makes of content, without waiting for it. `form`: `undefined` where the key needs none. */
export function explainContent(
  route: Route,
  { body, ...request }: WholeRequest,
  form: ContentForm | undefined,
): ExplainedContent {
  if (form === undefined) return { kind: 'answer', request };
  const maxBytes = route.content?.maxBytes ?? 0;
  if (body.length > maxBytes) return { kind: 'reject', problem: contentTooLarge(maxBytes) };
  const read = readContent(form, body);
  return read.kind === 'keyed' ? { kind: 'answer', request: withKeyedContent(request, read.content) } : read;
}
