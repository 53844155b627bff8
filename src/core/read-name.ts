/** All but letters, digits and hyphens that a field name may hold (RFC 9110 §5.6.2). */
const odd = /[^0-9a-z-]/;
const eachOdd = /[^0-9a-z-]/g;

/**
 * The field name that a server may read a name as, in lower case. CGI and what names fields after it (WSGI, Rack, PHP) hand
 * fields on as variables, in which `-` is `_`, and so is `.` at times, or whatever is no letter: `X_Forwarded_Host` is `X-Forwarded-Host` there.
 * So where a name decides whether a client's field goes upstream it is compared as read, and a name that is read as another
 * is none that `*` stands for.
 */
export function readName(name: string): string {
  return odd.test(name) ? name.replaceAll(eachOdd, '-') : name;
}

/** Whether the name is read as one of those that are set down. */
export function isReadAs(name: string, setDown: ReadonlyMap<string, string>): boolean {
  return setDown.size > 0 && namesRead(setDown).has(readName(name));
}

/** Names of the configuration stay as long as it does. */
const read = new WeakMap<ReadonlyMap<string, string>, ReadonlySet<string>>();

function namesRead(setDown: ReadonlyMap<string, string>): ReadonlySet<string> {
  let names = read.get(setDown);
  if (names === undefined) {
    names = new Set([...setDown.keys()].map(readName));
    read.set(setDown, names);
  }
  return names;
}
