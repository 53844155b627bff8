import type { AnswerReader, ReadAnswer } from '../cache/upstream-ports.ts';
import type { UpstreamConfig } from '../core/config.ts';
import { fieldValue } from '../core/fields.ts';
import { describe, type NamedFailure } from './failure.ts';
import { createRedactor, type Redactor } from './redact.ts';
import { refusedHead } from './refused-head.ts';
import { readAnswerHead, receivedFields } from './relay-answer.ts';
import { framingOf } from './response-head.ts';
import { deliveredHead, lengthOf } from './upstream-response.ts';

/** Reads answers as the client of upstreams and the relay do, without either. */
export function createAnswerReader(upstreams: ReadonlyMap<string, UpstreamConfig>): AnswerReader {
  const groundOf = (name: string): { readonly config: UpstreamConfig; readonly redactor: Redactor } => {
    const config = upstreams.get(name);
    if (config === undefined) throw new Error(`no upstream is named ${name}`);
    return { config, redactor: createRedactor(config.credentials) };
  };
  return {
    fetched(call, { status, fields }) {
      const { config, redactor } = groundOf(call.canonical.upstream);
      const framing = framingOf({ method: call.canonical.method, status, fields, rule: config.framing });
      if (framing === undefined) return failed(describe('malformed'));
      const refusal = refusedHead({ status, fields, framing }, { config, redactor, maxBodyBytes: config.maxBodyBytes });
      if (refusal !== undefined) return failed(refusal);
      const { fields: delivered, length } = deliveredHead({ call, status, fields, framing }, redactor);
      return { kind: 'response', status, fields: delivered, length };
    },
    relayed({ method, fields, route }, answer) {
      const ground = groundOf(route.upstream);
      const rules = { method, ifNoneMatch: fieldValue(fields, 'if-none-match'), ...ground, plan: { route } };
      const head = readAnswerHead({ statusCode: answer.status, rawHeaders: answer.fields.flat() }, rules);
      if (!('kind' in head)) return failed(head);
      const { fields: received, codings } = receivedFields(head, rules);
      const length = lengthOf(head.framing, codings.length > 0);
      return { kind: 'response', status: head.status, fields: received, length };
    },
  };
}

function failed({ failure, detail }: NamedFailure): ReadAnswer {
  return { kind: 'failure', failure, detail };
}
