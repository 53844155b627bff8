-- COUNT URLs below TARGET (/v1/forecast) in turn (200), each with a body of SIZE bytes (1024); every STEP-th of those that were stored (1), the first being STEP.
local size = os.getenv('SIZE') or '1024'
local count = tonumber(os.getenv('COUNT') or '200')
local step = tonumber(os.getenv('STEP') or '1')
local path = os.getenv('TARGET') or '/v1/forecast'
local requests = {}
local last = 0

function init()
  for i = 1, count do
    requests[i] = wrk.format('GET', path .. '?location=city' .. i * step .. '&size=' .. size .. '&days=7')
  end
end

function request()
  last = last % count + 1
  return requests[last]
end
