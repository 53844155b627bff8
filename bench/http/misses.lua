-- A URL that was never asked before in each request of each run: PREFIX (new), the time of the run, and a number; bodies of SIZE bytes (1024).
local size = os.getenv('SIZE') or '1024'
local prefix = os.getenv('PREFIX') or 'new'
-- Runs are a second long at least, and none asks for a million in that.
local first = os.time() * 1000000
local sent = 0

function request()
  sent = sent + 1
  return wrk.format('GET', string.format('/v1/forecast?location=%s%.0f&size=%s&days=7', prefix, first + sent, size))
end
