import { withoutFields } from '../../../src/core/fields.ts';
import type { Freshened, FreshenInput } from '../../../src/core/freshen.ts';
import { agrees, findsOut } from './property.ts';
import { headPart, type ValidationPolicy, validationPart } from './validation.ts';

const { policy } = validationPart;

/** Freshens as if something else had been stored or come. */
const told = (change: (input: FreshenInput) => FreshenInput): ValidationPolicy => ({
  ...policy,
  freshenStored: (input) => policy.freshenStored(change(input)),
});

/** Makes something else of a 304. */
const made = (change: (freshened: Freshened, input: FreshenInput) => Freshened): ValidationPolicy => ({
  ...policy,
  freshenStored: (input) => change(policy.freshenStored(input), input),
});

const without = (...names: readonly string[]): ValidationPolicy =>
  told((input) => ({ ...input, fields: withoutFields(input.fields, new Set(names)) }));

/** As if every field that describes the content had been stored like that of the 304. */
const taking = (name: string): ValidationPolicy =>
  made((freshened, { fields }) => {
    const news = fields.filter((line) => line[0] === name);
    if (news.length === 0) return freshened;
    const { response } = freshened;
    return {
      ...freshened,
      response: { ...response, fields: [...withoutFields(response.fields, new Set([name])), ...news] },
    };
  });

agrees(validationPart);

findsOut(validationPart, {
  'asks with the entity tag alone': {
    ...policy,
    validationFields: (stored) => policy.validationFields({ ...stored, lastModified: undefined }),
  },
  'asks with the date alone': {
    ...policy,
    validationFields: (stored) => policy.validationFields({ ...stored, etag: undefined }),
  },
  'lets any 304 confirm': { ...policy, confirms: () => true },
  'lets only an entity tag confirm': {
    ...policy,
    confirms: (stored, fields) => fields.some(([name]) => name === 'etag') && policy.confirms(stored, fields),
  },
  'compares a strong entity tag weakly': {
    ...policy,
    confirms: (stored, fields) =>
      policy.confirms(
        { ...stored, etag: stored.etag?.replace('W/', '') },
        fields.map(([name, value]) => [name, name === 'etag' ? value.replace('W/', '') : value]),
      ),
  },
  'compares a weak entity tag strongly': {
    ...policy,
    confirms: (stored, fields) =>
      policy.confirms(stored, fields) &&
      fields.every(([name, value]) => name !== 'etag' || !value.startsWith('W/') || value === stored.etag),
  },
  'does not look at Last-Modified': {
    ...policy,
    confirms: (stored, fields) =>
      policy.confirms(
        stored,
        fields.filter(([name]) => name !== 'last-modified'),
      ),
  },
  'keeps the old fields': without('x-other'),
  'keeps the old lifetime': without('cache-control'),
  'adds to fields that are there instead of replacing them': made((freshened, { stored }) => {
    const { response } = freshened;
    const old = stored.fields.filter(([name]) => name === 'cache-control');
    return { ...freshened, response: { ...response, fields: [...old, ...response.fields] } };
  }),
  'takes Content-Length of the 304': taking('content-length'),
  'takes Content-Encoding of the 304': taking('content-encoding'),
  'takes what Connection names': told((input) => ({
    ...input,
    fields: withoutFields(input.fields, new Set(['connection'])),
  })),
  'takes fields of the connection': taking('keep-alive'),
  'keeps the old Date where none came': told((input) => {
    if (input.fields.some(([name]) => name === 'date')) return input;
    return { ...input, fields: [...input.fields, ...input.stored.fields.filter(([name]) => name === 'date')] };
  }),
  'does not read Age': without('age'),
  'counts from the old response': told((input) => ({
    ...input,
    requestTimeMs: input.stored.requestTimeMs,
    responseTimeMs: input.stored.responseTimeMs,
  })),
  'keeps for others what may not be stored any longer': made((freshened) => ({ ...freshened, ends: false })),
  'ends what one request forbids to store': made((freshened) => ({
    ...freshened,
    ends: freshened.ends || freshened.storage.kind === 'pass',
  })),
  'does not look at the client’s condition again': { ...policy, evaluatePreconditions: () => 'proceed' },
});

agrees(headPart);

type ByHead = Parameters<ValidationPolicy['freshenByHead']>[0];

const head = (change: (input: ByHead) => ByHead): ValidationPolicy => ({
  ...policy,
  freshenByHead: (input) => policy.freshenByHead(change(input)),
});

const headWithout = (...names: readonly string[]): ValidationPolicy =>
  head((input) => ({ ...input, fields: withoutFields(input.fields, new Set(names)) }));

findsOut(headPart, {
  'learns from any status': head((input) => ({ ...input, status: 200 })),
  'learns nothing from a 304': head((input) => (input.status === 304 ? { ...input, status: 404 } : input)),
  'takes a 304 without a validator for one that names what is stored': head((input) => {
    const isNamed = input.fields.some(([name]) => name === 'etag' || name === 'last-modified');
    const { etag = '' } = input.stored;
    return input.status === 304 && !isNamed ? { ...input, fields: [...input.fields, ['etag', etag]] } : input;
  }),
  'updates an error by a 200': head((input) => ({ ...input, stored: { ...input.stored, status: 200 } })),
  'does not compare entity tags': headWithout('etag'),
  'does not compare Last-Modified': headWithout('last-modified'),
  'does not compare Content-Length': headWithout('content-length'),
  'compares entity tags weakly': head((input) => ({
    ...input,
    stored: { ...input.stored, etag: input.stored.etag?.replace('W/', '') },
    fields: input.fields.map(([name, value]) => [name, name === 'etag' ? value.replace('W/', '') : value]),
  })),
  'does not see that it varies now': headWithout('vary'),
  'does not see that it may not be stored any longer': headWithout('cache-control'),
  'drops for all what one request forbids to store': {
    ...policy,
    freshenByHead: (input) => {
      const decision = policy.freshenByHead(input);
      return decision.kind === 'ignore' && input.status === 200 ? { ...decision, kind: 'invalidate' } : decision;
    },
  },
});
