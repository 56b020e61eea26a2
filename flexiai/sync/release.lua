-- Give the right to probe back, if it is still ours.
--
-- KEYS  1 the lease
-- ARGV  1 our token  2 time to live of a round that is left to the next holder, ms
--       3 epoch  4 how many probes have succeeded on it (0: the round is over)
-- Returns 1 given back | 0 it was not ours

if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then
  return 0
end
give_up(KEYS[1], ARGV[2], ARGV[3], ARGV[4])
return 1
