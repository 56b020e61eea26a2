-- What the scripts of the right to probe share; it is put before each of them.
--
-- The lease is a hash that expires: `holder` (a token, owner:number), `wanted`, and how far the round of probes has
-- come: `succeeded` of them, on the record of `epoch`. Without a holder it is a round that waits for the next one.

local function owner_of(token)
  return string.match(token, '^(.*):%d+$') or token
end

local function note_round(key, epoch, succeeded)
  if tonumber(succeeded) > 0 then
    redis.call('HSET', key, 'epoch', epoch, 'succeeded', succeeded)
  else
    redis.call('HDEL', key, 'epoch', 'succeeded')
  end
end

-- Nobody's from now on; a round that has come some way is left to the next holder for as long as a lease lives.
local function give_up(key, ttl_ms, epoch, succeeded)
  if tonumber(succeeded) == 0 then
    redis.call('DEL', key)
    return
  end
  note_round(key, epoch, succeeded)
  redis.call('HDEL', key, 'holder', 'wanted')
  redis.call('PEXPIRE', key, ttl_ms)
end
