-- Runs the script that SCRIPT names and prints what wrk's own report leaves out: the line is read by load.ts.
dofile(os.getenv('SCRIPT'))

-- With THINK_MS each connection pauses before its next request, by that much on average: they must not all ask at once.
local think = tonumber(os.getenv('THINK_MS') or '0')
if think > 0 then
  function delay()
    return math.random(0, 2 * think)
  end
end

-- wrk's own report stops at 99 %; this prints all of it as one line of JSON. Latencies in microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"durationUs":%d,"bytes":%d,"errors":%d,"p50":%d,"p90":%d,"p99":%d,"p999":%d,"max":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9), latency.max))
end
