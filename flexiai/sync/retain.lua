-- Keep the right to probe although we do not use it, unless another worker wants it: then it is given up.
--
-- KEYS  1 the lease
-- ARGV  1 our token  2 time to live, ms
-- Returns 1 kept | 0 given up, or no longer ours

if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then
  return 0
end
if redis.call('HGET', KEYS[1], 'wanted') then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
