-- 200 responses (CITIES), each request for one spelt as none before it: parameters in another order, names and values partly
-- percent-encoded, cities in mixed case and with spaces around them, defaults given or left out, numbers with a sign or zeros,
-- and one parameter that the route drops (`unknownQuery: drop`) and whose value never comes twice.
-- SIZE: bytes of the body. RUN: another number in each run, so that no run sends the heads of another.
local cities = tonumber(os.getenv('CITIES') or '200')
local size = os.getenv('SIZE') or '1024'
local random, byte, format = math.random, string.byte, string.format
local run = tonumber(os.getenv('RUN') or '0')
local sent = 0
local host

local function spelt(text)
  local at = random(1, #text)
  local letter = text:sub(at, at)
  local kind = random(4)
  if kind == 1 then letter = letter:upper()
  elseif kind == 2 then letter = format('%%%02X', byte(letter))
  elseif kind == 3 then letter = format('%%%02x', byte(letter:upper())) end
  return text:sub(1, at - 1) .. letter .. text:sub(at + 1)
end

-- A name keeps its case, which counts; each of its letters may be written encoded.
local function named(name)
  local at = random(1, #name * 4)
  if at > #name then return name end
  return name:sub(1, at - 1) .. format('%%%02x', byte(name, at)) .. name:sub(at + 1)
end

local days = { false, 'days=7', 'days=07', 'days=%2B7', 'days=007', 'days=%37' }
local units = { false, 'units=metric', 'units=me%74ric', 'units=%6Detric', 'units=metri%63' }
local pads = { '', '', '+', '%20' }

function init()
  math.randomseed(1 + run)
  host = wrk.headers['Host']
end

function request()
  sent = sent + 1
  local parts = {
    named('location') .. '=' .. pads[random(#pads)] .. spelt('city' .. (sent % cities + 1)) .. pads[random(#pads)],
    'size=' .. size,
    'utm_id=' .. run .. '-' .. sent,
  }
  local day, unit = days[random(#days)], units[random(#units)]
  if day then parts[#parts + 1] = day end
  if unit then parts[#parts + 1] = unit end
  for last = #parts, 2, -1 do
    local other = random(last)
    parts[last], parts[other] = parts[other], parts[last]
  end
  return 'GET /v1/forecast?' .. table.concat(parts, '&') .. ' HTTP/1.1\r\nHost: ' .. host .. '\r\n\r\n'
end
