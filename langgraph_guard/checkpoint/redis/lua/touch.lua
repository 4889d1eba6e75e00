-- Put off the expiry of a thread that was read.
-- KEYS: meta, entries, log, blobs   ARGV: 1 ttl in ms
expire(KEYS, ARGV[1])
return 1
