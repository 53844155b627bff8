-- A URL that was never asked before in each request of each run: PREFIX (new), RUN (0) and a number; bodies of SIZE bytes (1024).
local size = os.getenv('SIZE') or '1024'
local prefix = os.getenv('PREFIX') or 'new'
-- A run is a minute at most, and no server answers that many in it.
local first = tonumber(os.getenv('RUN') or '0') * 10000000
local sent = 0

function request()
  sent = sent + 1
  return wrk.format('GET', string.format('/v1/forecast?location=%s%.0f&size=%s&days=7', prefix, first + sent, size))
end
