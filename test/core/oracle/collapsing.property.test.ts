import { type CollapsingPolicy, collapsingPart } from './collapsing.ts';
import { agrees, findsOut } from './property.ts';

const { shareOf } = collapsingPart.policy;

/** Something else is told to the policy. */
const told = (change: (...told: Parameters<typeof shareOf>) => Parameters<typeof shareOf>): CollapsingPolicy => ({
  shareOf: (...given) => shareOf(...change(...given)),
});

agrees(collapsingPart);

findsOut(collapsingPart, {
  'shares what another asked for, whatever the request says': told((deps, plan, joined, result) => [
    deps,
    {
      ...plan,
      ask: { ...plan.ask, requestFields: plan.ask.requestFields.filter(([name]) => name !== 'cache-control') },
    },
    joined,
    result,
  ]),
  'shares what has to be validated on every use': told((deps, plan, joined, result) => {
    if (result.kind !== 'stored') return [deps, plan, joined, result];
    const { item } = result;
    return [
      deps,
      plan,
      joined,
      { ...result, item: { ...item, freshness: { ...item.freshness, alwaysValidate: false } } },
    ];
  }),
  'shares what is stale as it comes': {
    shareOf: (deps, plan, joined, result) => {
      const share = shareOf(deps, plan, joined, result);
      return share === 'alone' && result.kind === 'stored' && result.names?.length === 0 ? 'use' : share;
    },
  },
  'shares what is not stored': told((deps, plan, joined, result) => [
    deps,
    plan,
    joined,
    result.kind === 'answer' ? { ...result, shareable: true } : result,
  ]),
  'shares what a 304 made of it for one request alone': told((deps, plan, joined, result) => [
    deps,
    plan,
    joined,
    result.kind === 'stored' ? { ...result, unshared: false } : result,
  ]),
  'does not know Vary': told((deps, plan, joined, result) => {
    if (result.kind !== 'stored') return [deps, plan, joined, result];
    return [deps, plan, joined, { ...result, names: [], item: { ...result.item, key: plan.key } }];
  }),
  'takes stale ones of the shared tier': {
    shareOf: (deps, plan, joined, result) => {
      if (result.kind !== 'taken') return shareOf(deps, plan, joined, result);
      const { read, ...rest } = result;
      const stored = {
        ...rest,
        kind: 'stored',
        item: read.item,
        fwdStatus: 200,
        validated: false,
        put: 'stored',
      } as const;
      return shareOf(deps, plan, joined, stored);
    },
  },
  'lets an odd request fail others': {
    shareOf: (deps, plan, joined, result) => (result.kind === 'failed' ? 'use' : shareOf(deps, plan, joined, result)),
  },
  'has nobody share a failure': {
    shareOf: (deps, plan, joined, result) => (result.kind === 'failed' ? 'alone' : shareOf(deps, plan, joined, result)),
  },
  'does not know purges': told((deps, plan, joined, result) => [deps, plan, { ...joined, early: true }, result]),
  'does not know soft purges': told((deps, plan, joined, result) => [
    { ...deps, purgeLog: { ...deps.purgeLog, softPurgedAtMs: () => undefined } },
    plan,
    joined,
    result,
  ]),
  'purges for those who came before': told((deps, plan, joined, result) => [
    deps,
    plan,
    { ...joined, early: false },
    result,
  ]),
});
