-- A worker proposes a transition: compare, store and publish in one step.
-- The rules are flexiai.core.evidence.judge and flexiai.core.circuit.decide; tests/contracts holds them together.
--
-- KEYS  1 the hash of all records  2 the evidence
-- ARGV  1 provider  2 channel  3 latest store time at which this still counts (0: any time)
--       4 base epoch  5 state  6 reason  7 worker  8 age of the evidence  9 open_for  (milliseconds)
--       10 failure_count  11 rounds  12 forced (1 or 0)  13 mode  14 held_for (milliseconds)  15 note
--       16 quorum  17 how long a vote stands beyond open_for (milliseconds)
--       18 store time at which this was sent, or a little later (0: unknown): the age and the epoch count from then
-- Returns {1 accepted | 0 the stored record stands | 2 it stands, and this was noted as a vote | -1 too late, nothing
--          was compared; the record held now; store time}

local now_ms = store_time_ms()
local stored = stored_record(KEYS[1], ARGV[1])

-- Bytes that a partition held for long may arrive after their sender gave them up; their age would be a lie.
local latest_ms = tonumber(ARGV[3])
if latest_ms > 0 and now_ms > latest_ms then
  return {-1, record_text(stored), now_ms}
end

local base, state = tonumber(ARGV[4]), ARGV[5]
local told_ms = told_at_ms(tonumber(ARGV[18]), now_ms)
local seen_ms = told_ms - tonumber(ARGV[8])

local forced, held = ARGV[12] == '1', is_held(stored, now_ms)

local function accepts()
  if forced then
    return true
  end
  if held and stored.mode == 'open' then
    return false
  end
  if base >= stored.epoch then
    return true
  end
  if state == stored.state then
    return false
  end
  if seen_ms == stored.since_ms then
    return state == 'OPEN'
  end
  return seen_ms > stored.since_ms
end

local quorum = tonumber(ARGV[16])
local asks_quorum = not forced and quorum > 1 and stored.state == 'CLOSED'

if asks_quorum and state == 'CLOSED' and base <= stored.epoch then
  redis.call('HDEL', KEYS[2], 'f:' .. ARGV[7], 'v:' .. ARGV[7])
  return {0, record_text(stored), now_ms}
end
if not accepts() then
  return {0, record_text(stored), now_ms}
end
if asks_quorum and state == 'OPEN' then
  local held = held_evidence(KEYS[2], stored.epoch, now_ms)
  held.votes[ARGV[7]] = seen_ms + tonumber(ARGV[9]) + tonumber(ARGV[17])
  if size(held.votes) < quorum then
    keep_evidence(KEYS[2], stored.epoch, held, now_ms, math.max(1, redis.call('PTTL', KEYS[2])))
    return {2, record_text(stored), now_ms}
  end
  redis.call('DEL', KEYS[2])
end

-- An operator's hold goes on under whatever workers find; where the store has lost it, by the word of who knows it.
local hold = {mode = 'normal', held_at_ms = 0, held_for_ms = 0, note = ''}
if forced or base > stored.epoch then
  hold.note = ARGV[15]
  if ARGV[13] ~= 'normal' then
    hold.mode, hold.held_at_ms, hold.held_for_ms = ARGV[13], seen_ms, tonumber(ARGV[14])
  end
elseif held then
  hold = stored
end

local epoch = next_epoch(stored, base, told_ms)

-- A drain is no news of the provider: a late one leaves the state as it is, and what was forced open due for a probe.
if forced and ARGV[13] == 'drain' and base < stored.epoch then
  if held and stored.mode == 'open' then
    stored.open_for_ms = math.max(0, now_ms - stored.since_ms)
  end
  stored.epoch, stored.worker, stored.note = epoch, ARGV[7], hold.note
  stored.mode, stored.held_at_ms, stored.held_for_ms = hold.mode, hold.held_at_ms, hold.held_for_ms
  store_and_publish(KEYS[1], ARGV[1], ARGV[2], stored, now_ms)
  return {1, record_text(stored), now_ms}
end

local accepted = {
  epoch = epoch,
  state = state,
  reason = ARGV[6],
  worker = ARGV[7],
  since_ms = seen_ms,
  open_for_ms = tonumber(ARGV[9]),
  failure_count = tonumber(ARGV[10]),
  rounds = tonumber(ARGV[11]),
  mode = hold.mode,
  held_at_ms = hold.held_at_ms,
  held_for_ms = hold.held_for_ms,
  note = hold.note,
}
store_and_publish(KEYS[1], ARGV[1], ARGV[2], accepted, now_ms)
return {1, record_text(accepted), now_ms}
