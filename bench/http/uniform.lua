-- Any of COUNT URLs (1000) that are stored, each as likely as any other, in another order in each RUN; bodies of SIZE bytes (1024).
local size = os.getenv('SIZE') or '1024'
local count = tonumber(os.getenv('COUNT') or '1000')
local random, format = math.random, string.format

function init()
  math.randomseed(1 + tonumber(os.getenv('RUN') or '0'))
end

function request()
  return wrk.format('GET', format('/v1/forecast?location=city%d&size=%s&days=7', random(count), size))
end
