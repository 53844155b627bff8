import type { RelayedHead } from '../../../src/cache/handled.ts';
import type { FieldLines } from '../../../src/core/fields.ts';
import { type InvalidationPolicy, invalidationPart } from './invalidation.ts';
import { agrees, findsOut } from './property.ts';

const { invalidationBy } = invalidationPart.policy;

type Relayed = Parameters<typeof invalidationBy>[1];
type Invalidation = NonNullable<ReturnType<typeof invalidationBy>>;

interface Told {
  readonly relayed: Relayed;
  readonly head: RelayedHead;
}

/** The policy with something else told to it. */
const told = (change: (told: Told) => Told): InvalidationPolicy => ({
  invalidationBy: (deps, relayed, head) => {
    const changed = change({ relayed, head });
    return invalidationBy(deps, changed.relayed, changed.head);
  },
});

const ofMethod = (change: (method: string) => string): InvalidationPolicy =>
  told(({ relayed, head }) => {
    const { request } = relayed;
    return { head, relayed: { ...relayed, request: { ...request, method: change(request.method) } } };
  });

const ofStatus = (change: (status: number) => number): InvalidationPolicy =>
  told(({ relayed, head }) => ({ relayed, head: { ...head, status: change(head.status) } }));

const ofFields = (change: (fields: FieldLines) => FieldLines): InvalidationPolicy =>
  told(({ relayed, head }) => ({ relayed, head: { ...head, fields: change(head.fields) } }));

const ofReferences = (change: (reference: string) => string): InvalidationPolicy =>
  ofFields((fields) => fields.map(([name, value]) => [name, change(value)]));

/** What is found, changed. */
const finding = (change: (found: Invalidation) => Invalidation): InvalidationPolicy => ({
  invalidationBy: (deps, relayed, head) => {
    const found = invalidationBy(deps, relayed, head);
    return found && change(found);
  },
});

agrees(invalidationPart);

findsOut(invalidationPart, {
  'takes QUERY for unsafe': ofMethod((method) => (method === 'QUERY' ? 'POST' : method)),
  'takes a method that it does not know for safe': ofMethod((method) => (method === 'ANY' ? 'GET' : method)),
  'takes get for GET': ofMethod((method) => method.toUpperCase()),
  'invalidates by a 400': ofStatus((status) => (status === 400 ? 200 : status)),
  'does not invalidate by a 3xx': ofStatus((status) => (status >= 300 ? 400 : status)),
  'does not know Location': ofFields((fields) => fields.filter(([name]) => name !== 'location')),
  'does not know Content-Location': ofFields((fields) => fields.filter(([name]) => name !== 'content-location')),
  'reads one line of a field that comes in several': ofFields((fields) =>
    fields.filter(([name], index) => fields.findIndex(([other]) => other === name) === index),
  ),
  'does not know upstream by a name without a scheme': ofReferences((reference) =>
    reference.replace(/^\/\/weather\.test/i, '//evil.test'),
  ),
  'does not know the plain spelling': finding(({ scopes, keys }) => ({
    scopes: scopes.filter((scope) => !scope.endsWith("/h/'b'A")),
    keys,
  })),
  'takes any origin for that of the target': ofReferences((reference) => reference.replace('//evil.test', '')),
  'passes user information over': ofReferences((reference) => reference.replace('//user@', '//')),
  'takes any port for the same origin': ofReferences((reference) =>
    reference.replace('//proxy.test:80/', '//proxy.test:8080/'),
  ),
  'takes a scheme for the other': ofReferences((reference) => reference.replace(/^https:/i, 'http:')),
  'reads the fragment as part of the query': ofReferences((reference) => reference.replace('#', '%23')),
  'takes a backslash for a slash': ofReferences((reference) => reference.replaceAll('\\', '/')),
  'does not resolve dot segments': finding(({ scopes, keys }) => ({
    scopes: scopes.map((scope) => scope.replace('/h/c', '/h/./b/../c')),
    keys,
  })),
  'leaves the query out': finding(({ scopes, keys }) => ({
    scopes: [...new Set(scopes.map((scope) => scope.replace(/\?.*/, '')))],
    keys,
  })),
  'does not invalidate the target itself': finding(({ scopes, keys }) => ({ scopes: scopes.slice(1), keys })),
});
