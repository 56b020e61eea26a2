-- A worker tells how it fares with a provider; enough of that opens it: one transition, as by transition.lua.
-- The rule is flexiai.core.evidence.hear; tests/contracts holds the two together.
--
-- KEYS  1 the hash of all records  2 the evidence
-- ARGV  1 provider  2 channel  3 channel of streaks  4 latest store time at which this still counts (0: any time)
--       5 base epoch  6 worker  7 age of its latest success (-1: none)  8 open_for  (milliseconds)
--       9 rounds  10 threshold  11 window (milliseconds)  12 quorum
--       13 store time at which this was sent, or a little later (0: unknown): the ages and the epoch count from then
--       14… ages of its failures in a row (milliseconds)
-- Returns {1 opened | 0 noted | -1 too late, nothing was done; the record held now; store time; failures that stand}

local now_ms = store_time_ms()
local stored = stored_record(KEYS[1], ARGV[1])
local latest_ms = tonumber(ARGV[4])
if latest_ms > 0 and now_ms > latest_ms then
  return {-1, record_text(stored), now_ms, 0}
end
if tonumber(ARGV[5]) ~= stored.epoch or stored.state == 'OPEN' then
  return {0, record_text(stored), now_ms, 0}
end

local worker, ok_age_ms, told_ms = ARGV[6], tonumber(ARGV[7]), told_at_ms(tonumber(ARGV[13]), now_ms)
local threshold, window_ms, quorum = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local held = held_evidence(KEYS[2], stored.epoch, now_ms)

-- How many failures stand, of how many workers (voters included), the first and the last of them; the rest is forgotten.
local function tally()
  local since_ms = math.max(held.ok_at_ms, now_ms - window_ms)
  local sum = {count = 0, workers = size(held.votes), first_ms = now_ms, last_ms = 0}
  for name, times in pairs(held.failures) do
    local kept = {}
    for _, at_ms in ipairs(times) do
      if at_ms > since_ms then
        table.insert(kept, at_ms)
        sum.first_ms, sum.last_ms = math.min(sum.first_ms, at_ms), math.max(sum.last_ms, at_ms)
      end
    end
    held.failures[name] = #kept > 0 and kept or nil
    sum.count = sum.count + #kept
    if #kept > 0 and not held.votes[name] then
      sum.workers = sum.workers + 1
    end
  end
  return sum
end

local before = tally()
if ok_age_ms >= 0 then
  held.ok_at_ms = math.max(held.ok_at_ms, told_ms - ok_age_ms)
end
held.failures[worker] = {}
for i = 14, #ARGV do
  table.insert(held.failures[worker], told_ms - tonumber(ARGV[i]))
end
local after = tally()

local in_force = is_held(stored, now_ms)
if after.count >= threshold and after.workers >= quorum and not (in_force and stored.mode == 'open') then
  local hold = in_force and stored or {mode = 'normal', held_at_ms = 0, held_for_ms = 0, note = ''}
  local opened = {
    epoch = next_epoch(stored, stored.epoch, told_ms),
    state = 'OPEN',
    reason = 'consecutive_failures',
    worker = worker,
    since_ms = after.last_ms,
    open_for_ms = tonumber(ARGV[8]),
    failure_count = after.count,
    rounds = tonumber(ARGV[9]),
    mode = hold.mode,
    held_at_ms = hold.held_at_ms,
    held_for_ms = hold.held_for_ms,
    note = hold.note,
  }
  redis.call('DEL', KEYS[2])
  store_and_publish(KEYS[1], ARGV[1], ARGV[2], opened, now_ms)
  return {1, record_text(opened), now_ms, after.count}
end

keep_evidence(KEYS[2], stored.epoch, held, now_ms, window_ms)
if before.count == 0 and after.count > 0 then
  redis.call('PUBLISH', ARGV[3], string.format(
    '{"epoch":%.0f,"failures":%.0f,"workers":%.0f,"since_ms":%.0f,"at_ms":%.0f}',
    stored.epoch, after.count, after.workers, after.first_ms, now_ms))
end
return {0, record_text(stored), now_ms, after.count}
