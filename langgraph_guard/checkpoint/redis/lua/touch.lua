-- Put off the expiry of a thread that was read.
-- KEYS: meta, entries, log, blobs   ARGV: 1 ttl in ms
-- Returns 1 when the indexes of its runs have to be prolonged, else 0
return expire(KEYS, ARGV[1])
