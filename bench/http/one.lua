-- One URL, TARGET, again and again.
local asked

function init()
  asked = wrk.format('GET', os.getenv('TARGET'))
end

function request()
  return asked
end
