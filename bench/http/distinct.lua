-- A URL that was never asked before in each request: PREFIX (new) and a number from FIRST (0) on, bodies of SIZE bytes (1024).
local size = os.getenv('SIZE') or '1024'
local prefix = os.getenv('PREFIX') or 'new'
local first = tonumber(os.getenv('FIRST') or '0')
local sent = 0

function request()
  local number = first + sent
  sent = sent + 1
  return wrk.format('GET', string.format('/v1/forecast?location=%s%.0f&size=%s&days=7', prefix, number, size))
end
