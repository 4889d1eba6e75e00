-- Delete a thread, and then its name where it is noted.
-- KEYS: meta, entries, log, blobs, registry, then indexes of runs   ARGV: 1 thread id
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
for at = 6, #KEYS do redis.call('SREM', KEYS[at], ARGV[1]) end
return 1
