/** Texts that have their beginnings in common; what they are made of are UTF-16 code units. */
export interface Spellings {
  /** Whether one of them ends here. */
  ends: boolean;
  /** The most that follows. */
  longest: number;
  readonly next: Map<number, Spellings>;
}

/** Characters that stand for themselves in every encoding that is looked for. `~` does not: forms encode it. */
export const plain = /[A-Za-z0-9._-]/;

/** How a character may be spelt: as it stands or in one encoding. */
export function spellingsOf(char: string): Spellings {
  const known = spelt.get(char);
  if (known !== undefined) return known;
  const root: Spellings = { ends: false, longest: 0, next: new Map() };
  // Bytes are read as Latin-1, as fields are.
  add(root, char);
  add(root, Buffer.from(char).toString('latin1'));
  if (!plain.test(char)) {
    for (const form of [...asPercent(char), ...asScript(char), ...asMarkup(char)]) add(root, form);
  }
  spelt.set(char, root);
  return root;
}

const spelt = new Map<string, Spellings>();

/** Of the character of one code unit. */
export function spellingsOfUnit(unit: number): Spellings {
  return (speltUnits[unit] ??= spellingsOf(String.fromCharCode(unit)));
}

const speltUnits: Spellings[] = [];

function add(root: Spellings, text: string): void {
  let node = root;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const next: Spellings = node.next.get(code) ?? { ends: false, longest: 0, next: new Map() };
    node.next.set(code, next);
    node.longest = Math.max(node.longest, text.length - at);
    node = next;
  }
  node.ends = true;
}

/** RFC 3986, and forms. Half a character is sent as the sign for that. */
function asPercent(char: string): readonly string[] {
  const bytes = [...Buffer.from(char)].map((byte) => byte.toString(16).padStart(2, '0'));
  const forms = [bytes, bytes.map((hex) => hex.toUpperCase())].map((pairs) => `%${pairs.join('%')}`);
  return char === ' ' ? [...forms, '+'] : forms;
}

/** Strings of JSON and of JavaScript. */
function asScript(char: string): readonly string[] {
  const units = char.split('').map((unit) => unit.charCodeAt(0).toString(16));
  const forms = ['u', 'x'].flatMap((mark) => {
    const size = mark === 'u' ? 4 : 2;
    if (units.some((hex) => hex.length > size)) return [];
    const padded = units.map((hex) => hex.padStart(size, '0'));
    return [padded, padded.map((hex) => hex.toUpperCase())].map((all) => all.map((hex) => `\\${mark}${hex}`).join(''));
  });
  const short = shortEscapes.get(char);
  return short === undefined ? forms : [...forms, short];
}

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ...['"', "'", '`', '\\', '/'].map((char): [string, string] => [char, `\\${char}`]),
  ['\b', String.raw`\b`],
  ['\f', String.raw`\f`],
  ['\n', String.raw`\n`],
  ['\r', String.raw`\r`],
  ['\t', String.raw`\t`],
]);

/** References of HTML and XML. */
function asMarkup(char: string): readonly string[] {
  const code = char.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  const forms: string[] = [];
  // Some fill up with zeros: PHP writes `&#039;`.
  for (const size of [1, 2, 3, 4]) {
    forms.push(`&#${String(code).padStart(size, '0')};`);
    for (const digits of [hex, hex.toUpperCase()]) {
      forms.push(`&#x${digits.padStart(size, '0')};`, `&#X${digits.padStart(size, '0')};`);
    }
  }
  return [...forms, ...(names.get(char)?.split(' ') ?? []).map((name) => `&${name};`)];
}

/** Of ASCII, by the HTML standard (§13.5). */
const names: ReadonlyMap<string, string> = new Map([
  ['\t', 'Tab'],
  ['\n', 'NewLine'],
  ['!', 'excl'],
  ['"', 'quot QUOT'],
  ['#', 'num'],
  ['$', 'dollar'],
  ['%', 'percnt'],
  ['&', 'amp AMP'],
  ["'", 'apos'],
  ['(', 'lpar'],
  [')', 'rpar'],
  ['*', 'ast midast'],
  ['+', 'plus'],
  [',', 'comma'],
  ['/', 'sol'],
  [':', 'colon'],
  [';', 'semi'],
  ['<', 'lt LT'],
  ['=', 'equals'],
  ['>', 'gt GT'],
  ['?', 'quest'],
  ['@', 'commat'],
  ['[', 'lsqb lbrack'],
  ['\\', 'bsol'],
  [']', 'rsqb rbrack'],
  ['^', 'Hat'],
  ['`', 'grave DiacriticalGrave'],
  ['{', 'lcub lbrace'],
  ['|', 'verbar vert VerticalLine'],
  ['}', 'rcub rbrace'],
]);
