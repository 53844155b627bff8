import type { RedisScript } from './link.ts';

/**
 * Numbers of a value's header (see `codec.ts`): bytes 5 to 12 are the epoch, 13 to 18 the place in the purge log, 19 to 24 the
 * request time. Lua compares strings by the locale, so they are read as numbers, which hold 48 bits exactly.
 */
const readHead = `local function u48(s, i)
  local n = 0
  for j = i, i + 5 do n = n * 256 + string.byte(s, j) end
  return n
end
local function isOurs(s) return #s >= 24 and (string.sub(s, 1, 3) == 'FC\\1' or string.sub(s, 1, 3) == 'FC\\2') end
local function isMarker(s) return string.byte(s, 4) >= 2 end
local function epochOf(s) return string.sub(s, 5, 12) end
local function seqOf(s) return u48(s, 13) end
local function timeOf(s) return u48(s, 19) end`;

/**
 * KEYS: entry. ARGV: value, milliseconds to live, now on the clock of Redis as the process reckons it. A response that was
 * asked for later stays (RFC 9111 §4), unless it is from the future: then some clock was set back, and it says nothing. A
 * write that was held up says an earlier now and may win so; whether it may be served its place in the log says all the same.
 *
 * Who has met no marker does not take the place of one: it may be told so, looks whether it is of use, and says 1 as the fourth
 * ARGV where it is not.
 */
export const putScript: RedisScript = {
  name: 'putEntry',
  keys: 1,
  reply: 'text',
  lua: `#!lua
${readHead}
local new = ARGV[1]
local old = redis.call('GETRANGE', KEYS[1], 0, 23)
if isOurs(old) and isMarker(old) and not isMarker(new) and ARGV[4] ~= '1' then return 'varies' end
if isOurs(old) and not isMarker(old) and not isMarker(new) and epochOf(old) == epochOf(new)
  and seqOf(old) >= seqOf(new) and timeOf(old) > timeOf(new) and timeOf(old) <= tonumber(ARGV[3]) then
  return 'outdated'
end
redis.call('SET', KEYS[1], new, 'PX', ARGV[2])
return 'ok'`,
};

/**
 * KEYS: entry, lock. ARGV: header of what the process knows (or nothing), what to hold the lock by, its milliseconds to live,
 * milliseconds by which reckonings of Redis's clock may differ, 0 where the value itself is not wanted. What is newer than what is known is the answer; else the lock
 * is, for the first who asks. The others get what it is held by; `!` and a word is what its last holder said.
 */
export const claimScript: RedisScript = {
  name: 'claimFill',
  keys: 2,
  reply: 'bytes',
  lua: `#!lua
${readHead}
local known = ARGV[1]
local stored = redis.call('GETRANGE', KEYS[1], 0, 23)
if isOurs(stored) and (#known == 0 or epochOf(stored) ~= epochOf(known) or isMarker(stored) ~= isMarker(known)
  or seqOf(stored) > seqOf(known) or timeOf(stored) > timeOf(known) + tonumber(ARGV[4])) then
  return {'stored', ARGV[5] == '0' and '' or redis.call('GET', KEYS[1])}
end
local held = redis.call('GET', KEYS[2])
if not held then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  return {'ours'}
end
return {'theirs', held}`,
};

/** KEYS: lock. ARGV: what it is held by, milliseconds to live. Only the holder's is renewed. */
export const renewScript: RedisScript = {
  name: 'renewFill',
  keys: 1,
  reply: 'text',
  lua: `#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'ok'`,
};

/**
 * KEYS: lock. ARGV: what it is held by, what to say of the fetch (`!` and a word), milliseconds for which that is said (0: not
 * at all). Only the holder's is let go: a process that was frozen must not let go of another's.
 */
export const releaseScript: RedisScript = {
  name: 'releaseFill',
  keys: 1,
  reply: 'text',
  lua: `#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
if ARGV[3] == '0' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 'ok'`,
};
