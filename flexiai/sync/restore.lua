-- A worker writes back a record that the store has lost, or holds with another content.
-- The rule is flexiai.core.circuit.reseed; tests/contracts holds the two together.
--
-- KEYS  1 the hash of all records
-- ARGV  1 provider  2 channel
--       3 epoch  4 state  5 reason  6 worker  7 since  8 open_for  (milliseconds)  9 failure_count  10 rounds
--       11 mode  12 held_at  13 held_for  (milliseconds)  14 note
-- Returns {1 written | 0 what was stored stands; the record held now; store time}

local now_ms = store_time_ms()
local stored = stored_record(KEYS[1], ARGV[1])
local known = {
  epoch = tonumber(ARGV[3]),
  state = ARGV[4],
  reason = ARGV[5],
  worker = ARGV[6],
  since_ms = tonumber(ARGV[7]),
  open_for_ms = tonumber(ARGV[8]),
  failure_count = tonumber(ARGV[9]),
  rounds = tonumber(ARGV[10]),
  mode = ARGV[11],
  held_at_ms = tonumber(ARGV[12]),
  held_for_ms = tonumber(ARGV[13]),
  note = ARGV[14],
}

-- The first difference decides, in this order; all equal: the stored one stays.
local STRICTNESS = {normal = 0, drain = 1, open = 2}

local function outweighs(a, b)
  if a.mode ~= b.mode then
    return STRICTNESS[a.mode] > STRICTNESS[b.mode]
  end
  if a.state ~= b.state then
    return a.state == 'OPEN'
  end
  for _, field in ipairs({'since_ms', 'open_for_ms', 'failure_count', 'rounds', 'held_at_ms', 'held_for_ms'}) do
    if a[field] ~= b[field] then
      return a[field] > b[field]
    end
  end
  return false
end

if known.epoch < stored.epoch or record_text(known) == record_text(stored) then
  return {0, record_text(stored), now_ms}
end

local restored = known
if known.epoch == stored.epoch then
  restored = outweighs(known, stored) and known or stored
  restored.epoch = stored.epoch + 1
end
store_and_publish(KEYS[1], ARGV[1], ARGV[2], restored, now_ms)
return {1, record_text(restored), now_ms}
