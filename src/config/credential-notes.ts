import { chanceOf, MIN_DISTINCT_LENGTH, MIN_MASKED_LENGTH, valuesOf } from '../core/secret-values.ts';
import type { Compilation } from './compilation.ts';
import type { IssueList } from './issue.ts';
import { parseRedisUrl } from './redis-address.ts';

const searched =
  'answers in which it stands by chance are changed too (it is masked wherever it stands in fields and text, and looked for in no other content)';

const messages = {
  unsearched: `has fewer than ${MIN_MASKED_LENGTH} characters, so it is not looked for in answers: an upstream that repeats it shows it to clients`,
  short: `has fewer than ${MIN_DISTINCT_LENGTH} characters: ${searched}`,
  number: `is a number: ${searched}`,
  word: `is a word: ${searched}`,
} as const;

/** Credentials that are hardly meant so, and those that answers may hold by chance. */
export function noteCredentials(notes: IssueList, { input }: Compilation, name: string): void {
  const credentials = input.upstreams[name]?.credentials;
  for (const kind of ['query', 'headers'] as const) {
    for (const [key, value] of Object.entries(credentials?.[kind] ?? {})) {
      const message = noteOf(valuesOf(kind, value));
      if (message !== undefined) notes.add(['upstreams', name, 'credentials', kind, key], message);
    }
  }
}

/** Passwords of Redis that are hardly meant so. */
export function noteRedisPasswords(notes: IssueList, { input }: Compilation): void {
  const { redis } = input.store;
  for (const option of ['password', 'sentinelPassword'] as const) {
    if (isBareVariable(redis?.[option] ?? '')) notes.add(['store', 'redis', option], bareVariable);
  }
  const url = parseRedisUrl(redis?.url ?? '');
  if (!url.ok) return;
  const { username = '', password = '' } = url.value;
  if ([username, password].some(isBareVariable))
    notes.add(['store', 'redis', 'url'], `its user or password ${bareVariable}`);
}

const bareVariable = 'looks like a variable without braces, which is sent as it stands; variables are written ${NAME}';

function isBareVariable(value: string): boolean {
  return /(?:^|\s)\$[A-Za-z_][A-Za-z0-9_]*$/.test(value);
}

/** @param values what is sent, and what of it an answer may repeat alone */
function noteOf(values: readonly string[]): string | undefined {
  if (values.some(isBareVariable)) return bareVariable;
  const [whole = ''] = values;
  if (whole === '') return undefined;
  if (values.some((value) => value.length < MIN_MASKED_LENGTH)) return messages.unsearched;
  const chance = values.map(chanceOf).find((one) => one !== undefined);
  return chance && messages[chance];
}
