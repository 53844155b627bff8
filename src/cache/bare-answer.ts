import { freshenByHead } from '../core/freshen.ts';
import { callUpstream, isOfItsWay, isUnasked } from './call-upstream.ts';
import type { FillDeps, FillInput, FillResult } from './fill-types.ts';
import { passedFields } from './passed-fields.ts';
import { retagged } from './tagged.ts';
import type { UpstreamAnswer, UpstreamResponse } from './upstream-ports.ts';

/** An answer that ends with its head, for the one who asked; nothing of it is stored. */
export function bare(deps: FillDeps, input: FillInput, answer: UpstreamResponse, reason: string): FillResult {
  answer.body.cancel();
  deps.observer.storage(input.route.name, reason);
  const { status } = answer;
  const isOneWay = isOfItsWay(input, status);
  return { kind: 'bare', status, fields: passedFields(deps, input, answer), reason, isOneWay };
}

/**
 * A HEAD that goes upstream as one. What it says of the response to a GET freshens the stored one, or shows that it is
 * another by now (RFC 9111 §4.3.5). Never throws for anything that upstream does.
 */
export function fetchHead(deps: FillDeps, input: FillInput, signal: AbortSignal): Promise<FillResult> {
  return callUpstream(deps, input, signal, (answer) => answeredHead(deps, input, answer));
}

async function answeredHead(deps: FillDeps, input: FillInput, answer: UpstreamAnswer): Promise<FillResult> {
  if (answer.kind === 'failure') return { kind: 'failed', failure: answer.failure, detail: answer.detail };
  if (isUnasked(answer.status, input)) {
    answer.body.cancel();
    const detail = `upstream answered ${answer.status} to a plain HEAD`;
    return { kind: 'failed', failure: 'malformed', detail, fwdStatus: answer.status };
  }
  await learn(deps, input, answer);
  return bare(deps, input, answer, 'method');
}

async function learn(deps: FillDeps, input: FillInput, answer: UpstreamResponse): Promise<void> {
  const { known: stored, route, requestFields, keyed } = input;
  if (stored === undefined) return;
  const { status, fields, requestTimeMs, responseTimeMs } = answer;
  const learnt = freshenByHead({ stored, route, requestFields, keyed, status, fields, requestTimeMs, responseTimeMs });
  switch (learnt.kind) {
    case 'ignore':
      return;
    case 'invalidate':
      await deps.store.invalidate(stored.key);
      return;
    case 'update': {
      const { response, cut } = retagged(deps, input, learnt.response, fields);
      // Under its own position: the content is as old as it was, so that whatever was purged since stays purged.
      if (cut) await deps.store.invalidate(stored.key);
      else await deps.store.put(response);
    }
  }
}
