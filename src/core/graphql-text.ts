// File by file: the package's entry would load its whole type system, which costs memory in every pod.
import { GraphQLError } from 'graphql/error/GraphQLError.js';
import { type DocumentNode, type OperationDefinitionNode, OperationTypeNode } from 'graphql/language/ast.js';
import { Kind } from 'graphql/language/kinds.js';
import { Lexer } from 'graphql/language/lexer.js';
import { parse } from 'graphql/language/parser.js';
import { Source } from 'graphql/language/source.js';
import { TokenKind } from 'graphql/language/tokenKind.js';
import { stripIgnoredCharacters } from 'graphql/utilities/stripIgnoredCharacters.js';
import { type CanonicalJson, objectText } from './json-text.ts';

/** Tokens of one document, at most: a client could else make the parser work for long. */
const maxGraphqlTokens = 10_000;

/** Brackets within each other, at most: the parser calls itself for each, and would overflow the stack. */
const maxGraphqlDepth = 200;

/** What a GraphQL request over HTTP would do. */
export type GraphqlRequest =
  /** Reads: `text` is its canonical JSON. */
  | { readonly kind: 'query'; readonly text: string }
  /** Anything else, or nobody can tell: upstream alone can answer. `why` is a few words. */
  | { readonly kind: 'other'; readonly why: string };

/** Members that mean the same absent and `null` (GraphQL over HTTP, request parameters). */
const optional = ['operationName', 'variables', 'extensions'] as const;

/** What a request is made of; by further members (`id`, `documentId`) some servers find another document. */
const defined: ReadonlySet<string> = new Set(['query', ...optional]);

/** {@link readGraphql}, for those who must not load it where no route needs it: the parser costs time and memory at start. */
export type GraphqlReader = typeof readGraphql;

/**
 * Reads the JSON body of a GraphQL request. It may be looked up and stored only where the operation that would run is a
 * query; white space, comments and commas of its text do not count then, unless the request says a hash of it. A document that does not parse, several
 * operations without a name to choose by, and a batch are upstream's to explain.
 *
 * @param hashIsQuery whether a persisted document, of which only the hash is there, is known to be no mutation
 */
export function readGraphql({ members }: CanonicalJson, hashIsQuery: boolean): GraphqlRequest {
  if (members === undefined) return other('a batch, or no GraphQL request');
  if ([...members.keys()].some((name) => !defined.has(name)))
    return other('a request with members that GraphQL has not');
  const kept = new Map(members);
  for (const name of optional) if (kept.get(name) === 'null') kept.delete(name);
  const document = textOf(kept.get('query'));
  if (document === undefined) {
    const persisted = !kept.has('query') && kept.has('extensions');
    if (!persisted) return other('no GraphQL request');
    return hashIsQuery ? { kind: 'query', text: objectText(kept) } : other('a persisted document, perhaps a mutation');
  }
  const why = isBounded(document) ? whyNoQuery(document, kept.get('operationName')) : 'more than is read of a document';
  if (why !== undefined) return other(why);
  // The hash is of the document as the client has it: servers compare them, and refuse another.
  if (!isHashed(kept.get('extensions'))) kept.set('query', JSON.stringify(stripIgnoredCharacters(document)));
  return { kind: 'query', text: objectText(kept) };
}

function other(why: string): GraphqlRequest {
  return { kind: 'other', why };
}

/** What a canonical JSON text says where it is a string. */
function textOf(json: string | undefined): string | undefined {
  if (json === undefined) return undefined;
  const value: unknown = JSON.parse(json);
  return typeof value === 'string' ? value : undefined;
}

/** Automatic persisted queries: `extensions.persistedQuery` names the document by its hash. */
function isHashed(extensions: string | undefined): boolean {
  const value: unknown = JSON.parse(extensions ?? 'null');
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'persistedQuery');
}

/** Whether the parser can safely have it; what is no GraphQL it can have. */
function isBounded(document: string): boolean {
  let depth = 0;
  let tokens = 0;
  return orElse(true, () => {
    const lexer = new Lexer(new Source(document));
    for (let token = lexer.advance(); token.kind !== TokenKind.EOF; token = lexer.advance()) {
      tokens += 1;
      if (opening.has(token.kind)) depth += 1;
      else if (closing.has(token.kind)) depth -= 1;
      if (tokens > maxGraphqlTokens || depth > maxGraphqlDepth) return false;
    }
    return true;
  });
}

const opening: ReadonlySet<TokenKind> = new Set([TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L]);
const closing: ReadonlySet<TokenKind> = new Set([TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R]);

/** `undefined`: the operation that would run is a query. */
function whyNoQuery(document: string, operationName: string | undefined): string | undefined {
  const parsed = orElse(undefined, () => parse(document, { noLocation: true, maxTokens: maxGraphqlTokens }));
  if (parsed === undefined) return 'a document that does not parse';
  const operations = operationsOf(parsed);
  if (operations === undefined) return 'a document that cannot be executed';
  const named =
    operationName === undefined
      ? operations
      : operations.filter((one) => one.name !== undefined && JSON.stringify(one.name.value) === operationName);
  const [operation, ...more] = named;
  if (operation === undefined || more.length > 0) return 'a document that does not say which operation is to run';
  return operation.operation === OperationTypeNode.QUERY ? undefined : `a ${operation.operation}`;
}

/** `undefined` where something other than operations and fragments is in it. */
function operationsOf({ definitions }: DocumentNode): readonly OperationDefinitionNode[] | undefined {
  const operations: OperationDefinitionNode[] = [];
  for (const definition of definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) operations.push(definition);
    else if (definition.kind !== Kind.FRAGMENT_DEFINITION) return undefined;
  }
  return operations;
}

function orElse<T>(instead: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof GraphQLError) return instead;
    throw error;
  }
}
