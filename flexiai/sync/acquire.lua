-- Take the right to probe, if nobody has it (or we do); else leave word that it is wanted.
--
-- KEYS  1 the lease
-- ARGV  1 our token  2 time to live, ms  3 latest store time at which this still counts (0: any time)
-- Returns {1 ours | 0 another's | -1 too late, nothing was done; store time; the round so far: epoch; succeeded}

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local latest_ms = tonumber(ARGV[3])
if latest_ms > 0 and now_ms > latest_ms then
  return {-1, now_ms, 0, 0}
end

local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and owner_of(holder) ~= owner_of(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'wanted', '1')
  return {0, now_ms, 0, 0}
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local round = redis.call('HMGET', KEYS[1], 'epoch', 'succeeded')
return {1, now_ms, tonumber(round[1] or 0), tonumber(round[2] or 0)}
