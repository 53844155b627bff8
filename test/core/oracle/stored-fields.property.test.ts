import { agrees, findsOut } from './property.ts';
import { type FieldsPolicy, storedFieldsPart } from './stored-fields.ts';

const { storableFields } = storedFieldsPart.policy;

/** Keeps what has such a name. */
const keeping = (...names: readonly string[]): FieldsPolicy => ({
  storableFields: (fields, policy, status) => {
    const stored = new Set(storableFields(fields, policy, status));
    return fields.filter((line) => stored.has(line) || names.includes(line[0]));
  },
});

const losing = (...names: readonly string[]): FieldsPolicy => ({
  storableFields: (fields, policy, status) =>
    storableFields(fields, policy, status).filter(([name]) => !names.includes(name)),
});

agrees(storedFieldsPart);

findsOut(storedFieldsPart, {
  'does not know that Connection names fields': {
    storableFields: (fields, policy, status) =>
      storableFields(
        fields.filter(([name]) => name !== 'connection'),
        policy,
        status,
      ),
  },
  'lets Connection take Cache-Control away': {
    storableFields: (fields, policy, status) => {
      const names = fields.filter(([name]) => name === 'connection').map(([, value]) => value);
      return storableFields(fields, policy, status).filter(
        ([name]) => name !== 'cache-control' || !names.some((value) => value.includes('cache-control')),
      );
    },
  },
  ...Object.fromEntries(
    [
      ['connection'],
      ['keep-alive'],
      ['transfer-encoding'],
      ['proxy-authenticate'],
      ['proxy-authentication-info'],
      ['trailer'],
      ['age'],
      ['set-cookie'],
      ['x-app-rate-limit'],
      ['cf-ray'],
      ['cache-status'],
      ['retry-after'],
    ].map((names) => [`stores ${names.join(', ')}`, keeping(...names)]),
  ),
  ...Object.fromEntries(
    ['x-other', 'set-cookie2', 'proxy-other', 'x-quotation', 'retry-after', 'content-encoding'].map((name) => [
      `does not store ${name}`,
      losing(name),
    ]),
  ),
  'keeps no cookie where all fields are to be stored': {
    storableFields: (fields, policy, status) => storableFields(fields, { ...policy, storeFields: 'safe' }, status),
  },
  'does not look at the status': {
    storableFields: (fields, policy) => storableFields(fields, policy, 200),
  },
});
