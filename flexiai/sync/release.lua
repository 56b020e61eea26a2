-- Give the right to probe back, if it is still ours.
--
-- KEYS  1 the lease
-- ARGV  1 our token
-- Returns 1 given back | 0 it was not ours

if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
