-- A URL that was never asked before in each request: below TARGET (/v1/forecast), PREFIX (new) and a number from FIRST (0) on, bodies of SIZE bytes (1024).
local size = os.getenv('SIZE') or '1024'
local prefix = os.getenv('PREFIX') or 'new'
local path = os.getenv('TARGET') or '/v1/forecast'
local first = tonumber(os.getenv('FIRST') or '0')
-- wrk looks at one request before it begins, which it does not send.
local sent = -1

function request()
  local number = first + sent
  sent = sent + 1
  return wrk.format('GET', string.format('%s?location=%s%.0f&size=%s&days=7', path, prefix, number, size))
end
