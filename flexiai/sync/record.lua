-- What the scripts that deal in records share; it is put before each of them.
-- Numbers are written by %.0f: exact up to 2^53 on every Lua, and always the same text for the same record.

local function store_time_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The store's time from which a command's ages count: when it was sent (or a little later), as far as its sender knew
-- that (0: it did not). So what it took on its way, held back by a network perhaps, ages what it tells; and a store that
-- has been replaced while it stood still gives no epoch above those of its heir to what it finds before its door.
local function told_at_ms(sent_ms, now_ms)
  return sent_ms > 0 and math.min(sent_ms, now_ms) or now_ms
end

local function count_or_zero(value)
  return type(value) == 'number' and value >= 0 and value < 2 ^ 53 and math.floor(value) or 0
end

local MODES = {normal = true, drain = true, open = true}

-- The stored record; the one before all others where there is none, or none that we understand.
local function stored_record(key, provider)
  local understood, record = pcall(cjson.decode, redis.call('HGET', key, provider) or '')
  if not understood or type(record) ~= 'table' then
    record = {}
  end
  return {
    epoch = count_or_zero(record.epoch),
    state = record.state == 'OPEN' and 'OPEN' or 'CLOSED',
    reason = type(record.reason) == 'string' and record.reason or 'start',
    worker = type(record.worker) == 'string' and record.worker or '',
    since_ms = count_or_zero(record.since_ms),
    open_for_ms = count_or_zero(record.open_for_ms),
    failure_count = count_or_zero(record.failure_count),
    rounds = count_or_zero(record.rounds),
    mode = MODES[record.mode] and record.mode or 'normal',
    held_at_ms = count_or_zero(record.held_at_ms),
    held_for_ms = count_or_zero(record.held_for_ms),
    note = type(record.note) == 'string' and record.note or '',
  }
end

-- Whether an operator's hold is in force.
local function is_held(r, now_ms)
  return r.mode ~= 'normal' and r.held_for_ms > 0 and r.held_at_ms + r.held_for_ms > now_ms
end

local function next_epoch(stored, base, told_ms)
  return math.max(math.max(stored.epoch, base) + 1, told_ms)
end

local function fields_text(r)
  return string.format(
    '"epoch":%.0f,"state":"%s","reason":%s,"worker":%s,"since_ms":%.0f,"open_for_ms":%.0f,"failure_count":%.0f,"rounds":%.0f,'
      .. '"mode":"%s","held_at_ms":%.0f,"held_for_ms":%.0f,"note":%s',
    r.epoch, r.state, cjson.encode(r.reason), cjson.encode(r.worker),
    r.since_ms, r.open_for_ms, r.failure_count, r.rounds,
    r.mode, r.held_at_ms, r.held_for_ms, cjson.encode(r.note))
end

local function record_text(r)
  return '{' .. fields_text(r) .. '}'
end

local function store_and_publish(key, provider, channel, r, at_ms)
  redis.call('HSET', key, provider, record_text(r))
  redis.call('PUBLISH', channel, string.format('{%s,"at_ms":%.0f}', fields_text(r), at_ms))
end
