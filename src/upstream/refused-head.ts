import type { UpstreamConfig } from '../core/config.ts';
import type { FieldLines } from '../core/fields.ts';
import { pastLimit, type NamedFailure } from './failure.ts';
import type { Redactor } from './redact.ts';
import { fieldLineBytes, type ResponseFraming } from './response-head.ts';
import { isUnsearchable, unsearchable } from './unsearchable.ts';

/** What of an upstream decides which of its answers are taken. */
interface HeadRules {
  readonly config: Pick<UpstreamConfig, 'maxHeaderBytes'>;
  readonly redactor: Pick<Redactor, 'active'>;
  /** Of declared content. */
  readonly maxBodyBytes: number;
}

/** Why an answer is refused for its head; `undefined` where it is not. */
export function refusedHead(
  head: { readonly status: number; readonly fields: FieldLines; readonly framing: ResponseFraming },
  { config, redactor, maxBodyBytes }: HeadRules,
): NamedFailure | undefined {
  // The parser's own limit leaves out what separates names and values: here the line is drawn exactly.
  if (fieldLineBytes(head.fields) > config.maxHeaderBytes) return pastLimit('maxHeaderBytes');
  if (head.framing.kind === 'length' && head.framing.bytes > maxBodyBytes) return pastLimit('maxBodyBytes');
  return isUnsearchable(redactor, head) ? unsearchable : undefined;
}
