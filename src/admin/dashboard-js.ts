/**
 * The dashboard's script. All that it shows goes through `textContent`: keys, URLs and tags hold what clients sent.
 * The token stays in the tab's session storage and goes only into the Authorization field.
 */
export const dashboardJs = String.raw`'use strict';
const $ = (id) => document.getElementById(id);
const tokenName = 'forecache-token';
const everyMs = 2000;

function cell(tag, text, name) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function row(...cells) {
  const element = document.createElement('tr');
  element.append(...cells);
  return element;
}

function button(text, label, act) {
  const element = cell('button', text);
  element.type = 'button';
  element.setAttribute('aria-label', label);
  element.addEventListener('click', () => void act());
  return element;
}

const whole = new Intl.NumberFormat('en');
function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let step = 0;
  for (; count >= 1024 && step < 3; step += 1) count /= 1024;
  return (step === 0 ? count : count.toFixed(1)) + ' ' + units[step];
}

function percent(number) {
  return number.toFixed(1) + ' %';
}

function duration(seconds) {
  if (seconds === null) return '–';
  const past = seconds < 0 ? '-' : '';
  const size = Math.abs(seconds);
  if (size < 120) return past + size + ' s';
  return past + (size < 7200 ? Math.round(size / 60) + ' min' : Math.round(size / 3600) + ' h');
}

async function call(method, path, body) {
  const headers = { accept: 'application/json' };
  const token = sessionStorage.getItem(tokenName);
  if (token) headers.authorization = 'Bearer ' + token;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(path, {
    method, headers, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  if (response.status === 401) askForToken(token !== null);
  if (!response.ok) throw new Error(answer.detail || answer.title || String(response.status));
  return answer;
}

function askForToken(wrong) {
  sessionStorage.removeItem(tokenName);
  $('content').hidden = true;
  if (!$('login').hidden) return;
  $('login').hidden = false;
  $('token').focus();
  if (wrong) say('That token was refused.', true);
}

function say(text, bad) {
  $('state').textContent = text;
  $('state').className = bad ? 'bad' : '';
  // A screen reader speaks what changes here, and must not be kept speaking by the time.
  const news = bad ? text : 'up to date';
  if ($('news').textContent !== news) $('news').textContent = news;
}

function showReport(report) {
  $('since').textContent = new Date(report.since).toLocaleString();
  $('scope').textContent = report.scope === 'fleet' ? '(fleet of ' + report.sidecars + ')' : '(this process)';
  const saved = report.upstream_seconds_saved_estimate;
  const sums = [
    ['Hit rate', percent(report.hit_rate)],
    ['Requests', whole.format(report.requests)],
    ['Errors', whole.format(report.errors)],
    ['Upstream calls', whole.format(report.upstream_calls)],
    ['Upstream calls avoided', whole.format(report.upstream_calls_avoided)],
    ['Waiting saved (estimate)', saved === null ? '–' : duration(Math.round(saved))],
    ['Served from store', bytes(report.bytes_from_store)],
    ['Store (of ' + bytes(report.store.max_bytes) + ')', bytes(report.store.bytes)],
    ['Stored responses', whole.format(report.store.responses)],
    ['Evicted', whole.format(report.store.evicted)],
    ['Purges', whole.format(report.purges)],
    ['Responses purged', whole.format(report.purged_responses)],
  ];
  $('sums').replaceChildren(...sums.map(([name, value]) => {
    const pair = document.createElement('div');
    pair.append(cell('dt', name), cell('dd', value));
    return pair;
  }));
  $('outcomes').replaceChildren(...Object.entries(report.outcomes).map(([name, count]) => {
    const share = document.createElement('meter');
    share.setAttribute('aria-label', 'Share of ' + name);
    share.max = Math.max(1, report.requests);
    share.value = count;
    const last = document.createElement('td');
    last.append(share);
    return row(cell('td', name), cell('td', whole.format(count)), last);
  }));
  showRoutes(report.routes);
}

let shownRoutes = '';
const routeCells = new Map();

function showRoutes(routes) {
  const names = Object.keys(routes);
  // Written anew only where there are others: a button that has the focus, or is being pressed, must not vanish.
  if (names.join(' ') !== shownRoutes) {
    shownRoutes = names.join(' ');
    $('routes').replaceChildren(...names.map(routeRow));
  }
  for (const [name, route] of Object.entries(routes)) {
    const counts = [route.requests, route.hits, route.misses, route.errors, route.upstream_calls,
      route.upstream_calls_avoided].map((count) => whole.format(count));
    counts.splice(1, 0, percent(route.hit_rate));
    routeCells.get(name).forEach((one, place) => { one.textContent = counts[place]; });
  }
}

function routeRow(name) {
  const cells = Array.from({ length: 7 }, () => cell('td', ''));
  routeCells.set(name, cells);
  const last = document.createElement('td');
  if (name !== 'none') last.append(button('Purge', 'Purge route ' + name, () => purge({ route: name })));
  return row(cell('td', name, 'text'), ...cells, last);
}

function showStored(stored) {
  // A button that has the focus must not vanish under the finger that presses it.
  if ($('stored').contains(document.activeElement)) return;
  $('stored').replaceChildren(...stored.map((item) => {
    const url = cell('td', item.url, 'text');
    url.title = item.key;
    // What does not fit is cut; a pointer on it shows all. The tags that every response has come last.
    const common = (tag) => /^(route|upstream):/.test(tag);
    const ordered = [...item.tags.filter((tag) => !common(tag)), ...item.tags.filter(common)];
    const tags = cell('td', ordered.join(', '), 'text tags');
    tags.title = item.tags.join('\n');
    const last = document.createElement('td');
    last.append(button('Purge', 'Purge ' + item.key, () => purge({ key: item.key })));
    return row(url, tags, cell('td', duration(item.age)),
      cell('td', item.kind === 'vary' ? 'varies' : duration(item.ttl)), cell('td', bytes(item.size)),
      cell('td', whole.format(item.hits)), last);
  }));
}

async function purge(selector) {
  try {
    const answer = await call('POST', 'api/purge', selector);
    $('purged').textContent = answer.matched + ' stored responses purged' + (answer.complete ? '.' : '; not complete yet.');
  } catch (error) {
    $('purged').textContent = 'Not purged: ' + error.message;
  }
  // Its row is to go, and whoever pressed it by keyboard must not begin again at the top of the page.
  if ($('stored').contains(document.activeElement)) $('purged').focus();
  await refresh();
}

async function refresh() {
  try {
    showReport(await call('GET', 'api/metrics/cache'));
    const filter = new URLSearchParams({ route: $('filter-route').value, tag: $('filter-tag').value, limit: '100' });
    showStored((await call('GET', 'api/stored?' + filter)).stored);
    $('content').hidden = false;
    $('login').hidden = true;
    say('updated ' + new Date().toLocaleTimeString(), false);
  } catch (error) {
    say(error.message, true);
  }
}

async function keepRefreshing() {
  // While the token is asked for, every call would only be refused again; nobody looks at a hidden page.
  if ($('login').hidden && !document.hidden) await refresh();
  setTimeout(() => void keepRefreshing(), everyMs);
}

$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = $('token').value.trim();
  // Anything else cannot be sent in a field: no call would be made, and none would ask for another token.
  if (!/^[!-~]+$/.test(token)) {
    say('A token has visible ASCII characters alone; one of these is none.', true);
    return;
  }
  sessionStorage.setItem(tokenName, token);
  $('token').value = '';
  $('login').hidden = true;
  void refresh();
});

$('explain').addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    const explanation = await call('POST', 'api/explain', { url: $('explain-url').value });
    $('explanation').textContent = JSON.stringify(explanation, null, 2);
  } catch (error) {
    $('explanation').textContent = error.message;
  }
});

$('filter').addEventListener('submit', (event) => {
  event.preventDefault();
  void refresh();
});
$('purge-tag').addEventListener('click', () => {
  if ($('filter-tag').value) void purge({ tag: $('filter-tag').value });
  else $('purged').textContent = 'Name a tag first.';
});
$('reset').addEventListener('click', async () => {
  try {
    await call('POST', 'api/metrics/cache/reset');
  } catch (error) {
    say(error.message, true);
    return;
  }
  await refresh();
});

void keepRefreshing();
`;
