-- Keep the right to probe, if it is still ours.
--
-- KEYS  1 the lease
-- ARGV  1 our token  2 time to live, ms  3 epoch  4 how many probes have succeeded on it
-- Returns 1 kept | 2 kept, and another worker wants it | 0 no longer ours

if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then
  return 0
end
note_round(KEYS[1], ARGV[3], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('HGET', KEYS[1], 'wanted') and 2 or 1
