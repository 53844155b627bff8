/** The dashboard's page. It holds no data: `dashboard-js.ts` asks for that. */
export const dashboardHtml = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Forecache</title>
<link rel="stylesheet" href="dashboard.css">
<script src="dashboard.js" defer></script>
</head>
<body>
<header>
<h1>Forecache</h1>
<p id="state">connecting</p>
<p id="news" class="spoken" role="status"></p>
<button type="button" id="reset">Reset counters</button>
</header>
<main>
<form id="login" hidden>
<label for="token">Bearer token of the admin listener</label>
<input id="token" type="password" autocomplete="off" required>
<button>Use it</button>
</form>
<div id="content">
<section aria-labelledby="sum-title">
<h2 id="sum-title">Since <time id="since">…</time> <span id="scope"></span></h2>
<dl id="sums"></dl>
</section>
<section aria-labelledby="outcomes-title">
<h2 id="outcomes-title">Requests by outcome</h2>
<div class="scroll"><table><thead><tr><th scope="col">Outcome</th><th scope="col">Requests</th><th scope="col">Share</th></tr></thead>
<tbody id="outcomes"></tbody></table></div>
</section>
<section aria-labelledby="routes-title">
<h2 id="routes-title">Routes</h2>
<div class="scroll"><table><thead><tr><th scope="col">Route</th><th scope="col">Requests</th><th scope="col">Hit rate</th><th scope="col">Hits</th><th scope="col">Misses</th><th scope="col">Errors</th><th scope="col">Calls</th><th scope="col">Avoided</th><th scope="col">Purge</th></tr></thead>
<tbody id="routes"></tbody></table></div>
</section>
<section aria-labelledby="explain-title">
<h2 id="explain-title">Explain a request</h2>
<form id="explain">
<label for="explain-url">Path and query on the proxy</label>
<input id="explain-url" required placeholder="/weather/forecast?location=Berlin" spellcheck="false">
<button>Explain</button>
</form>
<pre id="explanation" aria-live="polite"></pre>
</section>
<section aria-labelledby="stored-title">
<h2 id="stored-title">Stored responses</h2>
<form id="filter">
<label for="filter-route">Route</label><input id="filter-route" spellcheck="false">
<label for="filter-tag">Tag</label><input id="filter-tag" spellcheck="false">
<button type="button" id="purge-tag">Purge this tag</button>
</form>
<p id="purged" role="status" tabindex="-1"></p>
<div class="scroll"><table><thead><tr><th scope="col">URL</th><th scope="col" class="text">Tags</th><th scope="col">Age</th><th scope="col">Fresh for</th><th scope="col">Size</th><th scope="col">Hits</th><th scope="col">Purge</th></tr></thead>
<tbody id="stored"></tbody></table></div>
</section>
</div>
</main>
</body>
</html>
`;
