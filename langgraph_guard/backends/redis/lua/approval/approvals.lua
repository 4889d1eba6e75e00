-- Put before the scripts that know requests: how one is kept, and what time makes of it.
-- Lists are framed: `votes` as by, instant, digest of each. `requirement` is JSON. What there is none of is empty.
local APPROVAL = {
  'v', 'id', 'tenant', 'thread', 'ns', 'call_id', 'tool', 'args', 'digest', 'first_digest', 'reason', 'requirement',
  'requested_by', 'at', 'expires_at', 'state', 'votes', 'decided_by', 'decided_at', 'message', 'heard',
}

-- The request; nil when nobody knows it, or it was closed too long ago. And whether this release can read it.
local function approval_of(key, now)
  local approval, readable = fetched(key, APPROVAL)
  if not approval or not readable then return nil, readable end
  local closed = approval.decided_at ~= '' and approval.decided_at or approval.at
  if approval.state ~= 'pending' and closed + RETENTION <= now then return nil, true end
  return approval, true
end

-- Its place among the open ones: when it was asked, its id, when it expires, its thread. In the order of the first two.
local function place(approval)
  local id = string.gsub(approval.id, '%z', '\0\1')
  return string.format('%026.9f ', approval.at) .. id .. '\0\0' .. approval.expires_at .. ' ' .. approval.thread
end

-- Make of it what time has made of it. Returns whether that is something else.
local function as_of(approval, now)
  local waits = approval.expires_at == '' or now < tonumber(approval.expires_at)
  if approval.state ~= 'pending' or waits then return false end
  approval.state, approval.decided_at = 'expired', precise(now)
  return true
end

-- Keep some fields of it; one that is closed goes after a month.
local function keep(key, open, approval, ...)
  local changes = {}
  for _, field in ipairs({...}) do changes[#changes + 1], changes[#changes + 2] = field, approval[field] end
  redis.call('HSET', key, unpack(changes))
  if approval.state ~= 'pending' then
    redis.call('PEXPIRE', key, exact(RETENTION * 1000))
    redis.call('ZREM', open, place(approval))
  end
end

local function chain_approval(last, now, approval, kind, by, detail)
  chain(last, now, kind, approval.id, by, approval.digest, detail)
end

-- Keep that its time is over.
local function expire(key, open, last, approval, now)
  keep(key, open, approval, 'state', 'decided_at')
  chain_approval(last, now, approval, 'expired', '', '')
end
