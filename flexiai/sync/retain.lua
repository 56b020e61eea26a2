-- Keep the right to probe although we do not use it, unless another worker wants it: then it is given up.
--
-- KEYS  1 the lease
-- ARGV  1 our token  2 time to live, ms  3 epoch  4 how many probes have succeeded on it
-- Returns 1 kept | 0 given up, or no longer ours

if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then
  return 0
end
if redis.call('HGET', KEYS[1], 'wanted') then
  give_up(KEYS[1], ARGV[2], ARGV[3], ARGV[4])
  return 0
end
note_round(KEYS[1], ARGV[3], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
