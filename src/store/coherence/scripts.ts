import type { RedisScript } from '../redis/link.ts';

/**
 * The purge log in Redis. KEYS of each script: control, log. The control hash holds `epoch`, `seq`, `floor`, `hist` (the
 * replication history in which the epoch began), `born` (when, by the clock of Redis), `why` (the reason for it), `lease` (the longest that was
 * granted in the epoch), `prior` (the longest that may be left of earlier ones), and for each process `m:ID` = `ACK:LEASE_UNTIL_MS`.
 * Entries of the stream have the id `SEQ-1`, without a gap from `floor` + 1 to `seq`.
 *
 * A process whose lease ended a minute ago is forgotten at a purge, and when another one joins: else each start of a process
 * would leave a field for ever where nobody purges.
 *
 * What is of another type, or no epoch, was written by somebody else: the log is lost then, and must not be for ever. A user
 * who may not look at it finds no such thing: each look of his would end the epoch of everybody. Nothing of a script is taken
 * back where Redis refuses its user a later command, so what may be refused is tried before anything is lost by it.
 *
 * A replica may be set up to take writes. What is written there its master never hears of, nor anybody who asks that one.
 *
 * What a process was told that it has acknowledged is there until it may be forgotten, else an older copy was put back (RESTORE,
 * SWAPDB), of the same history. It tells so itself, before it hears of purges that have taken the places of others, or makes one.
 * A call that was held up on its way for so long that its process has been forgotten meanwhile proves nothing.
 *
 * ARGV of each but `leave`: id of the process, replicas that must keep up, 0 where the rule of epochs is taken away.
 * Script flags need Redis 7; `allow-oom` lets purges through when memory is full.
 */
const prelude = `#!lua flags=allow-oom
local ctl, log = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local info = redis.call('INFO', 'replication')
if string.match(info, 'role:(%a+)') == 'slave' then return redis.error_reply('READONLY a replica') end
local need = tonumber(ARGV[2])
if need > 0 then
  local good = 0
  for lag in string.gmatch(info, 'state=online[^\\r\\n]*lag=(%d+)') do
    if tonumber(lag) <= 2 then good = good + 1 end
  end
  if good < need then return redis.error_reply('NOREPLICAS ' .. good .. ' of ' .. need .. ' replicas keep up') end
end
local hist = string.match(info, 'master_replid:(%x+)') or 'none'
local c = redis.pcall('HMGET', ctl, 'epoch', 'seq', 'floor', 'hist', 'why', 'born', 'lease', 'prior')
local length = redis.pcall('XLEN', log)
local function isRefused(reply) return type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) end
if isRefused(c) then return c elseif isRefused(length) then return length end
local foreign = c.err ~= nil
if foreign then c = {} end
local function whole(text) return text and #text < 16 and string.match(text, '^%d+$') and tonumber(text) end
local epoch, seq, floor = c[1], whole(c[2]), whole(c[3])
local why, born, made = c[5] or 'new', whole(c[6]) or now, 0
local lease, prior = whole(c[7]) or 0, whole(c[8]) or 0
local function text(number) return string.format('%.0f', number) end
local function begin(reason)
  epoch = string.sub(redis.sha1hex(hist .. t[1] .. '.' .. t[2] .. (c[1] or '') .. ARGV[1]), 1, 16)
  if now - born > prior + 5000 then prior = 0 end
  prior = math.max(prior, lease)
  -- Who may not write it must not delete it: the leases that it knows of are waited for.
  if not foreign then redis.call('HSET', ctl, 'prior', text(prior)) end
  seq, floor, why, born, made, lease = 0, 0, reason, now, 1, 0
  redis.call('DEL', ctl, log)
  redis.call('HSET', ctl, 'epoch', epoch, 'seq', 0, 'floor', 0, 'hist', hist, 'why', why, 'born', text(born), 'prior', text(prior))
end
local function untilOf(member) return tonumber(string.match(member, ':(%d+)$')) or 0 end
local function mayBeForgotten(ends) return ends + 60000 < now end
local function forgetLapsed(all)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'm:' and mayBeForgotten(untilOf(all[i + 1])) then redis.call('HDEL', ctl, all[i]) end
  end
end
local function seqOf(entry) return tonumber(string.match(entry[1], '^%d+')) end
local function isWhole()
  if length ~= seq - floor then return false end
  if seq == floor then return true end
  local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  return seqOf(first) == floor + 1 and seqOf(last) == seq
end
local function acknowledged()
  local member = redis.call('HGET', ctl, 'm:' .. ARGV[1])
  return member and (tonumber(string.match(member, '^%d+')) or 0)
end
local function isPutBack(told)
  local of, ack, ends = string.match(told or '', '^(%x+)-(%d+)-(%d+)$')
  if of ~= epoch or ARGV[3] == '0' or mayBeForgotten(tonumber(ends)) then return false end
  return (acknowledged() or -1) < tonumber(ack)
end
if foreign or (epoch and not string.match(epoch, '^' .. string.rep('[0-9a-f]', 16) .. '$')) then begin('log-lost')
elseif not epoch or not seq or not floor then begin('new')
elseif ARGV[3] ~= '0' then
  if c[4] ~= hist then begin('failover') elseif not isWhole() then begin('log-lost') end
end
`;

/**
 * Renews the lease, acknowledges, and reads on, in one step; answers the longest lease that any process may have as well. Further ARGV: epoch and last purge that are applied, milliseconds of
 * the lease, entries at most, and of the last one that was answered `EPOCH-ACK-LEASE_UNTIL_MS`. The entries of one answer also end where they are a megabyte, so that it comes in time.
 *
 * Who is behind the floor learns of that by the answer, and acknowledges it when that has come: until then it has a lease by
 * which it serves what was stored before, and a purge that has left the log already may still wait for it.
 */
export const syncScript: RedisScript = {
  name: 'syncLog',
  keys: 2,
  reply: 'text',
  lua: `${prelude}
local ack = tonumber(ARGV[5])
if ARGV[4] == epoch and ack > seq and ARGV[3] ~= '0' or isPutBack(ARGV[8]) then begin('behind') end
if ARGV[4] ~= epoch then ack = 0 end
local mine = tonumber(ARGV[6])
local before = acknowledged()
if not before then forgetLapsed(redis.call('HGETALL', ctl)) end
-- One that was held up on its way takes nothing back, nor one of somebody who has to read all anew: he has no lease until he has.
redis.call('HSET', ctl, 'm:' .. ARGV[1], string.format('%.0f:%.0f', math.max(ack, before or 0), now + mine))
if mine > lease then
  lease = mine
  redis.call('HSET', ctl, 'lease', text(lease))
end
local entries, bytes, from, left = {}, 0, math.max(ack, floor), tonumber(ARGV[7])
while from < seq and left > 0 and bytes < 1048576 do
  local some = redis.call('XRANGE', log, string.format('(%.0f-1', from), '+', 'COUNT', math.min(left, 50))
  if #some == 0 then break end
  for _, e in ipairs(some) do
    from = seqOf(e)
    left = left - 1
    local content = e[2][6] or ''
    bytes = bytes + #content
    entries[#entries + 1] = {from, e[2][2] or '', e[2][4] or '', content}
    if bytes >= 1048576 then break end
  end
end
return {epoch, seq, floor, now, why, made, entries, math.max(lease, prior)}`,
};

/**
 * Appends one entry, and answers who held a lease then, the longest that any process may have, and how old the epoch is. Further ARGV: kind, what it says (one string, since Lua spreads no more
 * than some thousand values), slack in milliseconds for steps of the clock, milliseconds for which entries are kept, how many are,
 * channel of the bell, and the same as of a look.
 *
 * No lease ends later than the longest of the epoch after now. One that seems to was granted before the clock was set back: by a
 * process that is gone, since any other has renewed it, and purges must not wait for that one until the clock has caught up.
 */
export const purgeScript: RedisScript = {
  name: 'appendPurge',
  keys: 2,
  reply: 'text',
  lua: `${prelude}
local slack, retention, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if isPutBack(ARGV[10]) then begin('behind') end
local members, all = {}, redis.call('HGETALL', ctl)
forgetLapsed(all)
-- All change nothing. An entry that may not be taken out, or whose going may not be noted, must not be appended either.
redis.call('XRANGE', log, '-', '+', 'COUNT', 1)
redis.call('HSET', ctl, 'floor', text(floor))
redis.call('XDEL', log, '0-1')
seq = redis.call('HINCRBY', ctl, 'seq', 1)
local added = redis.pcall('XADD', log, string.format('%.0f-1', seq), 't', string.format('%.0f', now), 'k', ARGV[4], 's', ARGV[5])
-- A number without its entry would be a log that is not whole.
if isRefused(added) then
  redis.call('HINCRBY', ctl, 'seq', -1)
  return added
end
local extra = redis.call('XLEN', log) - most
for i, e in ipairs(redis.call('XRANGE', log, '-', '+', 'COUNT', 4)) do
  local s = seqOf(e)
  if s < seq and (i <= extra or (tonumber(e[2][2]) or 0) < now - retention) then
    redis.call('XDEL', log, e[1])
    redis.call('HSET', ctl, 'floor', s)
    floor = s
  else break end
end
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'm:' then
    local ends = untilOf(all[i + 1])
    if lease > 0 and ends > now + lease then
      ends = now + lease
      redis.call('HSET', ctl, all[i], (string.gsub(all[i + 1], '%d+$', text(ends))))
    end
    if ends + slack > now then members[#members + 1] = {string.sub(all[i], 3), math.max(0, ends - now)} end
  end
end
-- Unheard it costs time, and the purge holds all the same.
redis.pcall('PUBLISH', ARGV[9], epoch .. '-' .. string.format('%.0f', seq))
return {epoch, seq, floor, now, why, made, members, math.max(lease, prior), math.max(0, now - born)}`,
};

/** What processes have acknowledged. Further ARGV: their ids. -1: it has left, or its lease ended long ago. */
export const acksScript: RedisScript = {
  name: 'readAcks',
  keys: 2,
  reply: 'text',
  lua: `${prelude}
local acks = {}
for i = 4, #ARGV do
  local m = redis.call('HGET', ctl, 'm:' .. ARGV[i])
  acks[#acks + 1] = m and tonumber(string.match(m, '^%d+')) or -1
end
return {epoch, seq, floor, now, why, made, acks}`,
};

/** ARGV: id. Its lease was given up before. */
export const leaveScript: RedisScript = {
  name: 'leaveLog',
  keys: 2,
  reply: 'text',
  lua: `#!lua flags=allow-oom
return redis.call('HDEL', KEYS[1], 'm:' .. ARGV[1])`,
};
