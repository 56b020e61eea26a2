-- What the scripts that deal in evidence share; it is put before each of them, after record.lua.
--
-- Evidence is a hash that expires: `epoch`, `ok_at_ms`, and for each worker `f:<worker>` (when it failed: store times
-- in ms with spaces between) and `v:<worker>` (until when its vote stands).

-- What is held under this epoch. Votes that are over are left out.
local function held_evidence(key, epoch, now_ms)
  local fields, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
  end
  local held = {ok_at_ms = 0, failures = {}, votes = {}}
  if tonumber(fields.epoch or -1) ~= epoch then
    return held
  end
  held.ok_at_ms = tonumber(fields.ok_at_ms)
  for name, value in pairs(fields) do
    local kind, worker = string.sub(name, 1, 2), string.sub(name, 3)
    if kind == 'f:' then
      held.failures[worker] = {}
      for at_ms in string.gmatch(value, '%d+') do
        table.insert(held.failures[worker], tonumber(at_ms))
      end
    elseif kind == 'v:' and tonumber(value) > now_ms then
      held.votes[worker] = tonumber(value)
    end
  end
  return held
end

-- At least for `ttl_ms`, and for as long as a vote stands.
local function keep_evidence(key, epoch, held, now_ms, ttl_ms)
  redis.call('DEL', key)
  redis.call('HSET', key, 'epoch', string.format('%.0f', epoch), 'ok_at_ms', string.format('%.0f', held.ok_at_ms))
  for worker, times in pairs(held.failures) do
    local words = {}
    for _, at_ms in ipairs(times) do
      table.insert(words, string.format('%.0f', at_ms))
    end
    redis.call('HSET', key, 'f:' .. worker, table.concat(words, ' '))
  end
  for worker, until_ms in pairs(held.votes) do
    redis.call('HSET', key, 'v:' .. worker, string.format('%.0f', until_ms))
    ttl_ms = math.max(ttl_ms, until_ms - now_ms)
  end
  redis.call('PEXPIRE', key, string.format('%.0f', ttl_ms))
end

local function size(set)
  local n = 0
  for _ in pairs(set) do
    n = n + 1
  end
  return n
end
