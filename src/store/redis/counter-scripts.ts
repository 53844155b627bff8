import type { RedisScript } from './link.ts';

/** No flush is under way for so long, so nothing of one that left can come any more. */
const forgetLeftMs = 10 * 60_000;
/** What a killed process has counted stays in the sums; only its name goes. */
const forgetLostMs = 7 * 24 * 3_600_000;

/**
 * HASH `counters`: `gen`, `root` and `since` of the generation; `n:NAME` the sums; `f:ID` of each process, as
 * `NUMBER TIME HEARD`, and `left` behind it once it has gone. A member that left is kept for a while: one of its flushes
 * that was held up on the way would else look like its first one, and count twice.
 *
 * Who has gone for long is forgotten when another one joins, and when a report is made: else each start of a process would
 * leave a field for ever where nobody asks for reports.
 */
const helpers = `#!lua flags=allow-oom
local key = KEYS[1]
local time = redis.call('TIME')
local function text(number) return string.format('%.0f', number) end
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local function member(id)
  local number, heard = string.match(redis.call('HGET', key, 'f:' .. id) or '', '^(%d+) %d+ (%d+)')
  return tonumber(number or 0), tonumber(heard or 0)
end
local function forget(all)
  for at = 1, #all, 2 do
    if string.sub(all[at], 1, 2) == 'f:' then
      local flushed = tonumber(string.match(all[at + 1], '^%d+ (%d+)') or 0)
      local keep = string.find(all[at + 1], 'left') and ${forgetLeftMs} or ${forgetLostMs}
      if now - flushed > keep then redis.call('HDEL', key, all[at]) end
    end
  end
end
`;

/** One round trip: who am I to the ledger, add if it fits, what does the ledger say. */
export const flushScript: RedisScript = {
  name: 'flushCounters',
  keys: 1,
  reply: 'text',
  lua: `${helpers}
local id, number, after, gen = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local root, heard = tonumber(ARGV[5]), tonumber(ARGV[7])
local held = redis.call('HMGET', key, 'gen', 'root', 'since')
local lost = not held[1] or tonumber(held[2] or 0) < root or (ARGV[8] == '1' and held[1] == gen)
if lost then
  local since = ARGV[6] == '' and text(now) or ARGV[6]
  held = {text(micros) .. '-' .. id, text(root), since}
  redis.call('DEL', key)
  redis.call('HSET', key, 'gen', held[1], 'root', held[2], 'since', held[3])
end
local last, before = member(id)
if held[1] == gen then
  if last == after then
    for at = 9, #ARGV, 2 do
      local sum = redis.pcall('HINCRBY', key, 'n:' .. ARGV[at], ARGV[at + 1])
      -- What is no number was written by somebody else; half of a flush must not be added again and again for it. A user who
      -- may not add would put his own counts in the place of everybody's.
      if type(sum) == 'table' then
        if not string.find(sum.err, 'integer', 1, true) and not string.find(sum.err, 'overflow', 1, true) then return sum end
        redis.call('HSET', key, 'n:' .. ARGV[at], ARGV[at + 1])
      end
    end
    last = number
  end
  if not redis.call('HGET', key, 'f:' .. id) then forget(redis.call('HGETALL', key)) end
  redis.call('HSET', key, 'f:' .. id, text(last) .. ' ' .. text(now) .. ' ' .. text(math.max(heard, before)))
end
return {held[1], held[2], held[3], text(last), text(now)}`,
};

/** The processes stay known, with nothing written of them, so that a report knows for whom to wait. */
export const resetScript: RedisScript = {
  name: 'resetCounters',
  keys: 1,
  reply: 'text',
  lua: `${helpers}
local root = math.max(now, tonumber(redis.call('HGET', key, 'root') or 0) + 1, tonumber(ARGV[2]) + 1)
local all = redis.call('HGETALL', key)
redis.call('DEL', key)
redis.call('HSET', key, 'gen', text(micros) .. '-' .. ARGV[1], 'root', text(root), 'since', text(now))
for at = 1, #all, 2 do
  if string.sub(all[at], 1, 2) == 'f:' and not string.find(all[at + 1], 'left') then
    redis.call('HSET', key, all[at], (string.gsub(all[at + 1], '^%d+', '0')))
  end
end
return text(root)`,
};

/** Microseconds are the number of a question. */
export const askScript: RedisScript = {
  name: 'askCounters',
  keys: 1,
  reply: 'text',
  lua: `${helpers}
redis.call('PUBLISH', ARGV[1], 'flush:' .. text(micros))
return text(micros)`,
};

export const readScript: RedisScript = {
  name: 'readCounters',
  keys: 1,
  reply: 'text',
  lua: `${helpers}
local all = redis.call('HGETALL', key)
forget(all)
return {text(now), all}`,
};

export const heardScript: RedisScript = {
  name: 'heardCounters',
  keys: 1,
  reply: 'text',
  lua: `${helpers}
local heards = {}
for at, id in ipairs(ARGV) do
  local _, heard = member(id)
  heards[at] = text(heard)
end
return heards`,
};

export const leaveScript: RedisScript = {
  name: 'leaveCounters',
  keys: 1,
  reply: 'text',
  lua: `${helpers}
local field = 'f:' .. ARGV[1]
local value = redis.call('HGET', key, field)
if value and not string.find(value, 'left') then redis.call('HSET', key, field, value .. ' left') end
return 'ok'`,
};
