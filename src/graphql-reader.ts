import type { GraphqlReader } from './core/graphql-text.ts';
import type { Route } from './core/route.ts';

/**
 * What reads GraphQL documents, where one of these routes does; `undefined` elsewhere. Loaded then alone: most processes have no
 * such route, and the parser would take them time and memory at start.
 */
export async function graphqlReaderFor(routes: readonly Pick<Route, 'content'>[]): Promise<GraphqlReader | undefined> {
  if (!routes.some(({ content }) => content?.as === 'graphql')) return undefined;
  return (await import('./core/graphql-text.ts')).readGraphql;
}
