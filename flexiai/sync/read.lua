-- All records and the store's time, in one round trip.
--
-- KEYS  1 the hash of all records
-- Returns {store time in milliseconds; provider, record, provider, record, ...}

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {now_ms, redis.call('HGETALL', KEYS[1])}
