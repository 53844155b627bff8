/** What common encoders make of a text. Each is stated here, since the languages are not at hand. */
export const encoders: ReadonlyMap<string, (text: string) => string> = new Map([
  ['nothing', (text: string) => text],
  ['encodeURIComponent', encodeURIComponent],
  ['encodeURI', encodeURI],
  ['urllib.parse.quote of Python', percent('_.-~/')],
  ['urllib.parse.quote_plus of Python', form('_.-~')],
  ['url.QueryEscape of Go', form('_.-~')],
  ['url.PathEscape of Go', percent('_.-~$&+=:@')],
  ['URLEncoder of Java', form('.-*_')],
  ['HttpUtility.UrlEncode of .NET', lower(form('-_.!*()'))],
  ['rawurlencode of PHP', percent('-_.~')],
  ['an encoder of lower-case hex that keeps $&+,/:;=?@', lower(percent("-_.!~*'()$&+,/:;=?@"))],
  ['an encoder of lower-case hex that keeps -._', lower(percent('-._'))],
  ['encodeURIComponent twice', twice(encodeURIComponent)],
  ['urllib.parse.quote of Python twice', twice(percent('_.-~/'))],
  ['an encoder of lower-case hex twice', twice(lower(percent('-_.~')))],
  ['JSON.stringify', json('')],
  ['encoding/json of Go', json('&<>\u2028\u2029')],
  ['System.Text.Json of .NET', json('"&\'+<>`', 'upper')],
  ['Gson', json("&'<=>\u2028\u2029")],
  ['json_encode of PHP', (text: string) => json('')(text).replaceAll('/', String.raw`\/`)],
  [
    'json_encode of PHP with JSON_HEX_*',
    (text: string) => json('"&\'<>', 'upper')(text).replaceAll('/', String.raw`\/`),
  ],
  ['encoding/json of Go, within JSON', (text: string) => json('')(json('&<>')(text))],
  ['json_encode of PHP twice', twice((text: string) => json('')(text).replaceAll('/', String.raw`\/`))],
  ['escapejs of Django but for the hyphen', json('"&\'<>`=;', 'upper')],
  ['forJavaScript of OWASP', (text: string) => json('')(text).replaceAll(/["&'/]/g, inHex)],
  ['html.escape of Python', html({ '"': 'quot', "'": '#x27' })],
  ['html.EscapeString of Go', html({ '"': '#34', "'": '#39' })],
  ['htmlspecialchars of PHP', html({ '"': 'quot', "'": '#039' })],
  ['htmlentities of PHP for HTML5', html({ '"': 'quot', "'": 'apos', '+': 'plus', '/': 'sol', '=': 'equals' })],
  ['XML with &apos;', html({ '"': 'quot', "'": 'apos' })],
  ['escape-goat and lodash', html({ '"': 'quot', "'": '#39', '`': '#96' })],
  ['Handlebars', html({ '"': 'quot', "'": '#x27', '`': '#x60', '=': '#x3D' })],
  ['decimal references', references((code) => `&#${code};`)],
  ['hexadecimal references', references((code) => `&#x${code.toString(16).toUpperCase()};`)],
  ['hexadecimal references in lower case', references((code) => `&#x${code.toString(16)};`)],
  ['HTML twice', twice(html({ '"': 'quot', "'": '#39' }))],
  ['decimal references within XML', (text: string) => html({})(references((code) => `&#${code};`)(text))],
  ['encoding/json of Go around HTML', (text: string) => json('&<>')(html({ '"': '#34', "'": '#39' })(text))],
  ['encodeURIComponent of JSON', (text: string) => encodeURIComponent(json('&<>')(text))],
]);

function percent(kept: string): (text: string) => string {
  return (text) => text.replaceAll(/[^A-Za-z0-9]/gu, (char) => (kept.includes(char) ? char : percentOf(char)));
}

function percentOf(char: string): string {
  return Array.from(Buffer.from(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}

function form(kept: string): (text: string) => string {
  return (text) => percent(kept)(text).replaceAll('%20', '+');
}

function lower(encode: (text: string) => string): (text: string) => string {
  return (text) => encode(text).replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
}

function twice(encode: (text: string) => string): (text: string) => string {
  return (text) => encode(encode(text));
}

/** JSON, with these as `\u…` too. */
function json(escaped: string, digits: 'upper' | 'lower' = 'lower'): (text: string) => string {
  return (text) =>
    text.replaceAll(/./gsu, (char) => {
      if (!escaped.includes(char)) return JSON.stringify(char).slice(1, -1);
      const hex = (char.codePointAt(0) ?? 0).toString(16).padStart(4, '0');
      return String.raw`\u${digits === 'upper' ? hex.toUpperCase() : hex}`;
    });
}

function inHex(char: string): string {
  return char === '/' ? String.raw`\/` : String.raw`\x${char.charCodeAt(0).toString(16)}`;
}

/** `&`, `<` and `>`, which all write alike, and what these write in a way of their own. */
function html(own: Readonly<Record<string, string>>): (text: string) => string {
  const names = new Map(Object.entries({ '&': 'amp', '<': 'lt', '>': 'gt', ...own }));
  return (text) => text.replaceAll(/[^A-Za-z0-9]/gu, (char) => (names.has(char) ? `&${names.get(char)};` : char));
}

/** As encoders of OWASP: all but what is plain. */
function references(of: (code: number) => string): (text: string) => string {
  return (text) => text.replaceAll(/[^A-Za-z0-9._-]/gu, (char) => of(char.codePointAt(0) ?? 0));
}
