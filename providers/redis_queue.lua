-- The rest of redis_lane.lua: processes and their leases, and what they ask for.

-- Processes and their leases.

-- Take back what a process held, but for the tickets `kept`.
local function bury(dead, kept)
  redis.call('ZREM', prefix .. ':alive', dead)
  for _, id in ipairs(redis.call('SMEMBERS', prefix .. ':lanes')) do
    local key, mine = prefix .. ':' .. id, '["' .. dead .. '"'
    local records, gone = redis.call('HGETALL', key .. ':t'), false
    for number = 1, #records, 2 do
      if string.sub(records[number + 1], 1, #mine) == mine and not kept[records[number]] then
        gone = true
        for _, part in ipairs({':t', ':r'}) do redis.call('HDEL', key .. part, records[number]) end
        for _, part in ipairs({':i', ':b'}) do redis.call('ZREM', key .. part, records[number]) end
      end
    end
    if gone then
      changed()
      local lane = open(id)
      advance(lane)
      close(lane)
    end
  end
end

local function renew()
  redis.call('ZADD', prefix .. ':alive', now + LEASE, process)
  redis.call('HSETNX', prefix .. ':s', 'born', text(now))
  for _, part in ipairs({':alive', ':s', ':lanes', ':recent'}) do redis.call('EXPIRE', prefix .. part, KEEP) end
  -- Leases that end later than any can were given before the clock was set back.
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', prefix .. ':alive', '(' .. text(now + LEASE), '+inf')) do
    redis.call('ZADD', prefix .. ':alive', now + LEASE, other)
  end
end

-- Nothing starts for a while: whoever lives says first what he still holds, before it goes to others.
local function begin_anew()
  born = now
  redis.call('HSET', prefix .. ':s', 'born', text(now))
  for _, silent in ipairs(redis.call('ZRANGEBYSCORE', prefix .. ':alive', '-inf', text(now + RENEWAL))) do
    redis.call('ZADD', prefix .. ':alive', now + RENEWAL, silent)
  end
end

-- Where leases end, and nobody at all renewed his in time, it was Redis that stood still or was away.
local function stood_still()
  local newest = tonumber(redis.call('ZREVRANGE', prefix .. ':alive', 0, 0, 'WITHSCORES')[2])
  return newest - LEASE + 1.5 * RENEWAL < now
end

-- Another Redis that has the keys of an earlier one may have them from a moment before its end.
local function is_another()
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
  local before = redis.call('HGET', prefix .. ':s', 'run')
  if before ~= run then redis.call('HSET', prefix .. ':s', 'run', run) end
  return before and before ~= run
end

-- What processes ask for. Each answer begins with a word and the time.

local function enter()
  local lane = visit()
  local id, record, score, most, patience, usage = unpack(ARGV, 9, 14)
  local ticket = read(record)
  local key = lane.key .. (ticket.batch and ':b' or ':i')

  local function answer(...)
    close(lane)
    return {...}
  end

  if lane.config == '' or lane.loaded == 0 then
    if usage == '' then return {'load', text(now), text(math.max(born + GRACE - now, 0))} end
    load_usage(lane, usage)
  end
  entering = id
  if redis.call('HEXISTS', lane.key .. ':t', id) == 0 then
    local waiting = redis.call('ZCARD', lane.key .. ':i') + redis.call('ZCARD', lane.key .. ':b')
    local resting, allowed = rest(lane), day_allows(lane, ticket)
    if not ticket.batch then
      if not allowed then return answer('refused', text(now), 'budget', 0) end
      if not ticket.begun and (lane.cool > now or resting > (tonumber(patience) or math.huge)) then
        return answer('refused', text(now), 'resting', text(resting))
      end
    end
    if score == '' and waiting >= tonumber(most) then return answer('refused', text(now), 'full', 0) end
    changed()
    redis.call('HSET', lane.key .. ':t', id, record)
    if waiting == 0 and lane.running < places(lane) and allowed and wait_of(lane, ticket) <= 0 then
      start(lane, id, ticket)
      keep(lane)
      return answer('started', text(now), text(now), '')
    end
    if score == '' then
      lane.score = math.max(lane.score + 1, now * 1000)
      score = text(lane.score)
    end
    redis.call('ZADD', key, score, id)
  end
  lane.told = ''
  advance(lane)
  keep(lane)
  local started = redis.call('HGET', lane.key .. ':r', id)
  return answer(started and 'started' or 'waiting', text(now), started or score, score)
end

-- A call that runs on while its process, or Redis, was away keeps its place, or takes one that is free.
local function restore()
  local lane = visit()
  local id, record, started = unpack(ARGV, 9, 11)
  local there = redis.call('HEXISTS', lane.key .. ':r', id) == 1
  if not there and (lane.running < places(lane) or now < born + GRACE) then
    redis.call('HSET', lane.key .. ':t', id, record)
    redis.call('HSET', lane.key .. ':r', id, started)
    keep(lane)
    changed()
    there = true
  end
  close(lane)
  return {there and 'ok' or 'lost', text(now)}
end

-- `unused`: it was started, but whoever asked had left.
local function leave()
  local lane = visit()
  local id, verdict, pause, unused, ended = unpack(ARGV, 9, 13)
  local started = redis.call('HGET', lane.key .. ':r', id)
  if started then
    redis.call('HDEL', lane.key .. ':r', id)
    lane.running = lane.running - 1
    if unused == '1' then
      local ticket = read(redis.call('HGET', lane.key .. ':t', id))
      give_back(lane, ticket.day_requests, ticket.day_tokens)
    else
      judge(lane, verdict, tonumber(pause), (now - started) / 1000)
    end
  else
    for _, part in ipairs({':i', ':b'}) do redis.call('ZREM', lane.key .. part, id) end
  end
  redis.call('HDEL', lane.key .. ':t', id)
  if ended ~= '' then
    redis.call('LPUSH', prefix .. ':recent', ended)
    redis.call('LTRIM', prefix .. ':recent', 0, RECENT_TICKETS - 1)
    redis.call('EXPIRE', prefix .. ':recent', KEEP)
  end
  changed()
  advance(lane)
  close(lane)
  return {'ok', text(now)}
end

local function give()
  local lane = visit()
  give_back(lane, tonumber(ARGV[9]), tonumber(ARGV[10]))
  advance(lane)
  close(lane)
  return {'ok', text(now)}
end

-- What waits goes on waiting while its provider is looked after.
local function look()
  local lane = visit()
  lane.told = ''
  advance(lane)
  keep(lane)
  close(lane)
  return {'ok', text(now)}
end

local function cancel()
  local id = ARGV[4]
  for _, lane_id in ipairs(redis.call('SMEMBERS', prefix .. ':lanes')) do
    local lane = open(lane_id)
    local record = redis.call('HGET', lane.key .. ':t', id)
    if record then
      local ticket, ended = read(record), false
      if redis.call('HEXISTS', lane.key .. ':r', id) == 0 then
        refuse(lane, id, ticket, 'cancelled', 0)
        advance(lane)
        close(lane)
        ended = true
      elseif ticket.stops then
        ended = tell(ticket.owner, 'stop ' .. id) > 0
      end
      return {ended and 'ok' or 'nothing', text(now)}
    end
  end
  return {'nothing', text(now)}
end

local function shown(lane)
  local key = lane.key
  local in_line = {redis.call('ZRANGE', key .. ':i', 0, -1, 'WITHSCORES'), redis.call('ZRANGE', key .. ':b', 0, -1, 'WITHSCORES')}
  local limited = lane.requests_per_minute > 0 or lane.tokens_per_minute > 0
  local counted = limited and #in_line[1] + #in_line[2] > 0
  forget(lane)
  return {
    lane.id, lane.config, text(lane.day), text(lane.day_requests), text(lane.day_tokens), text(rest(lane)),
    text(math.max(lane.cool - now, 0)), lane.failures, tostring(lane.typical), redis.call('HGETALL', key .. ':r'),
    in_line[1], in_line[2], redis.call('HGETALL', key .. ':t'), counted and redis.call('LRANGE', key .. ':w', 0, -1) or {},
  }
end

local function snapshot()
  local lanes = {}
  for _, id in ipairs(redis.call('SMEMBERS', prefix .. ':lanes')) do
    local lane = open(id)
    if lane.config == '' then
      redis.call('SREM', prefix .. ':lanes', id)
    else
      lanes[#lanes + 1] = shown(lane)
      close(lane)
    end
  end
  return {'ok', text(now), lanes, redis.call('LRANGE', prefix .. ':recent', 0, -1)}
end

local function count()
  local busy = 0
  for _, id in ipairs(redis.call('SMEMBERS', prefix .. ':lanes')) do
    if redis.call('EXISTS', prefix .. ':' .. id .. ':t') == 1 or rest(open(id)) > 0 then busy = 1 end
  end
  return {'ok', text(now), redis.call('HGET', prefix .. ':s', 'changes') or '0', busy}
end

born = tonumber(redis.call('HGET', prefix .. ':s', 'born') or now)
if born > now + CLOCK_SLACK then
  born = now
  redis.call('HSET', prefix .. ':s', 'born', text(born))
end
local silent = redis.call('ZRANGEBYSCORE', prefix .. ':alive', '-inf', text(now))
if (#silent > 0 and stood_still()) or (operation == 'join' and is_another()) then
  begin_anew()
else
  for _, dead in ipairs(silent) do bury(dead, {}) end
end
if operation == 'join' then
  local kept = {}
  for number = 5, #ARGV do kept[ARGV[number]] = true end
  tell(process, 'joined ' .. ARGV[4])
  bury(process, kept)
  renew()
  return {'ok', text(now)}
end
if operation == 'quit' then
  bury(process, {})
  return {'ok', text(now)}
end
-- Whoever was away too long, and everybody once Redis is empty, has to join again, with what it still holds.
if not redis.call('ZSCORE', prefix .. ':alive', process) then return {'unknown', text(now)} end
if operation == 'renew' then
  renew()
  return {'ok', text(now), tell(process, 'heard')}
end
local operations = {
  enter = enter, restore = restore, leave = leave, give = give, look = look, cancel = cancel, snapshot = snapshot,
  count = count,
}
return operations[operation]()
