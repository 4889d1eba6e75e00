-- Somebody's word on a request.
-- KEYS: request, open requests, head of the chain, deeds
-- ARGV: 1 now ("" the server's)  2 by  3 type  4 digest  5 message  6 arguments of an edit  7 their digest
--       8 what it is heard as ("" not at all)  9 what holds for a request without a requirement
--       10 "1" if an edit's digest is of its arguments: hashed where nobody else waits for it, then roles …
-- Returns {whether it won, problem, request}; false when nobody knows the request
local MOST_ANSWERS, ENDS = 1000, {reject = 'rejected', respond = 'responded'}
local by, type, digest, edited, word = ARGV[2], ARGV[3], ARGV[4], ARGV[7], ARGV[8]
local now = moment(ARGV[1])
local approval, readable = approval_of(KEYS[1], now)
local last = end_of(KEYS[3], KEYS[4])
if not readable or not last then return unknown_version() end
redis.call('ZCARD', KEYS[2])
if not approval then return false end

local needed = cjson.decode(approval.requirement ~= '' and approval.requirement or ARGV[9])
local allowed, quorum, reviewers, roles, separated = needed[1], needed[2], needed[3], needed[4], needed[6]
local heard, votes = unframed(approval.heard), unframed(approval.votes)
-- The action that it agrees to.
local meant = type == 'edit' and edited or digest

-- Whether it agrees again to what the same person agreed to, who did not hear the answer.
local function is_said()
  if ENDS[type] or meant ~= approval.digest then return false end
  for at = 1, #votes, 3 do
    if votes[at] == by then return true end
  end
  return false
end

local function may_review()
  if has(reviewers, by) then return true end
  for at = 11, #ARGV do
    if has(roles, ARGV[at]) then return true end
  end
  return false
end

-- Why it does not count; nil when it does.
local function problem()
  local named = #reviewers > 0 or #roles > 0
  if by == '' then return 'nobody says who decides' end
  if by == 'anonymous' and (named or quorum > 1 or separated) then
    return 'it matters who decides, and nobody says who it was'
  end
  if #heard >= MOST_ANSWERS then return 'it was answered ' .. MOST_ANSWERS .. ' times' end
  if named and not may_review() then return 'this request is for other reviewers' end
  if separated and (approval.requested_by == '' or by == approval.requested_by) then
    return 'whoever asked for it may not decide it'
  end
  if not has(allowed, type) then return type .. ' is not among the decisions that are allowed' end
  if digest ~= approval.digest and not is_said() then return 'the action is another than the one that was seen' end
  if type == 'edit' and (ARGV[6] == '' or edited == '') then
    return 'an edit brings the action that is to run instead'
  end
  if type == 'edit' and ARGV[10] ~= '1' then return 'the digest of the edit is not of its arguments' end
  if type == 'edit' and edited == approval.digest and not has(allowed, 'approve') then
    return 'an edit that changes nothing is an approval, which is not among the decisions that are allowed'
  end
end

-- On one that is closed: it wins only if it was said before, by the same person, with the same meaning.
local function late()
  local who = unframed(approval.decided_by)
  if approval.state == (ENDS[type] or 'approved') and has(who, by) and meant == approval.digest then return nil end
  if approval.state == 'expired' then return 'its time is over' end
  if approval.state == 'withdrawn' then return 'it was withdrawn: its run went on without it' end
  return 'it was ' .. approval.state .. ' already, by ' .. (#who > 0 and table.concat(who, ' and ') or 'the rules')
end

local function answer(problem)
  return {problem and 0 or 1, problem or '', told(approval, APPROVAL)}
end

local function hear(word)
  if #heard < MOST_ANSWERS then approval.heard = approval.heard .. framed(word) end
end

if as_of(approval, now) then expire(KEYS[1], KEYS[2], last, approval, now) end
if word ~= '' and has(heard, word) then return answer() end
if word ~= '' and has(heard, '!' .. word) then return answer('it was said before, and did not count') end
if approval.state ~= 'pending' then return answer(late()) end

local why = problem()
if word ~= '' then hear(why and '!' .. word or word) end
if why or is_said() then
  if word ~= '' then keep(KEYS[1], KEYS[2], approval, 'heard') end
  return answer(why)
end

if ENDS[type] then
  approval.state, approval.decided_by = ENDS[type], framed(by)
else
  if type == 'edit' and edited ~= approval.digest then
    -- What others agreed to is no longer what would run.
    approval.args, approval.digest, approval.votes, votes = ARGV[6], edited, '', {}
  end
  approval.votes = approval.votes .. framed(by, precise(now), approval.digest)
  if #votes / 3 + 1 >= quorum then
    local who = {}
    for at = 1, #votes, 3 do who[#who + 1] = votes[at] end
    who[#who + 1] = by
    approval.state, approval.decided_by = 'approved', framed(unpack(who))
  end
end
local kind = 'voted'
if approval.state ~= 'pending' then
  kind, approval.decided_at, approval.message = approval.state, precise(now), ARGV[5]
end
keep(KEYS[1], KEYS[2], approval, 'args', 'digest', 'state', 'votes', 'decided_by', 'decided_at', 'message', 'heard')
chain_approval(last, now, approval, kind, by, type)
return answer()
