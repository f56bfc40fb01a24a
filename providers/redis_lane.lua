-- The shared queue's rules over all processes at once, as providers/lane.py and providers/limits.py have them.
--
-- KEYS[1]: what all keys begin with. ARGV: the operation, the time in ms (empty: Redis's own), the process that asks,
-- then what the operation needs. Constants are put before this text by providers/redis_link.py. Times are in ms.
--
-- Of the queue:    <prefix>:s        hash: since when it is there (born), in which Redis (run), how often it
--                                     changed (changes)
--                  <prefix>:alive    sorted set: processes by the end of their leases
--                  <prefix>:lanes    set: ids of providers
--                  <prefix>:recent   list: what ended, newest first
--                  <prefix>:to:<process>  channel: started, refused, stop, look
-- Of a provider:   <prefix>:<id>     hash: limits and counts
--                  ...:t             hash: records of tickets, as JSON lists
--                  ...:r             hash: running tickets and when they started
--                  ...:i ...:b       sorted sets: interactive and batch tickets that wait, in their order
--                  ...:w             list: the calls of the last minute, as "time requests tokens"

local prefix, operation, process = KEYS[1], ARGV[1], ARGV[3]
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local TEXTS = {config = true, address = true, told = true}
local NAMES = {
  'config', 'address', 'told', 'concurrency', 'requests_per_minute', 'tokens_per_minute', 'requests_per_day',
  'tokens_per_day', 'loaded', 'day', 'midnight', 'day_requests', 'day_tokens', 'minute_requests', 'minute_tokens',
  'row', 'paused', 'cool', 'cool_for', 'failures', 'typical', 'score', 'last',
}
local born, entering

local function text(number)
  return string.format('%.0f', number)
end

local function tell(owner, message)
  return redis.call('PUBLISH', prefix .. ':to:' .. owner, message)
end

local function changed()
  redis.call('HINCRBY', prefix .. ':s', 'changes', 1)
end

local function read(record)
  local found = cjson.decode(record)
  return {
    owner = found[1], requests = found[2], tokens = found[3], day_requests = found[4], day_tokens = found[5],
    batch = found[6] == 1, begun = found[7] == 1, stops = found[8] == 1,
  }
end

-- The provider's minute and day.

local function forget(lane)
  local key = lane.key .. ':w'
  local head = redis.call('LINDEX', key, 0)
  while head do
    local at, requests, tokens = string.match(head, '^(%d+) (%d+) (%d+)$')
    if tonumber(at) + MINUTE > now then return end
    redis.call('LPOP', key)
    lane.minute_requests = lane.minute_requests - requests
    lane.minute_tokens = lane.minute_tokens - tokens
    head = redis.call('LINDEX', key, 0)
  end
  lane.minute_requests, lane.minute_tokens = 0, 0
end

local function note_call(lane, requests, tokens, at)
  redis.call('RPUSH', lane.key .. ':w', text(at) .. ' ' .. text(requests) .. ' ' .. text(tokens))
  redis.call('PEXPIRE', lane.key .. ':w', 2 * MINUTE)
  lane.minute_requests = lane.minute_requests + requests
  lane.minute_tokens = lane.minute_tokens + tokens
end

local function spare(limit, used, asked)
  return limit > 0 and limit - used - math.min(asked, limit) or math.huge
end

local function minute_wait(lane, ticket)
  forget(lane)
  local spare_requests = spare(lane.requests_per_minute, lane.minute_requests, ticket.requests)
  local spare_tokens = spare(lane.tokens_per_minute, lane.minute_tokens, ticket.tokens)
  local wait, from = 0, 0
  while spare_requests < 0 or spare_tokens < 0 do
    local calls = redis.call('LRANGE', lane.key .. ':w', from, from + 99)
    if #calls == 0 then return wait end
    for _, call in ipairs(calls) do
      if spare_requests >= 0 and spare_tokens >= 0 then return wait end
      local at, requests, tokens = string.match(call, '^(%d+) (%d+) (%d+)$')
      wait = at + MINUTE - now
      spare_requests, spare_tokens = spare_requests + requests, spare_tokens + tokens
    end
    from = from + 100
  end
  return wait
end

local function day_allows(lane, ticket)
  if ticket.day_requests == 0 and ticket.day_tokens == 0 then return true end
  local requests, tokens = lane.requests_per_day, lane.tokens_per_day
  return (requests == 0 or lane.day_requests + ticket.day_requests <= requests)
    and (tokens == 0 or lane.day_tokens + ticket.day_tokens <= tokens)
end

local function give_back(lane, requests, tokens)
  lane.day_requests = math.max(lane.day_requests - requests, 0)
  lane.day_tokens = math.max(lane.day_tokens - tokens, 0)
end

-- Never back: a clock that is set back over midnight gives no second budget.
local function turn_day(lane, day, midnight)
  if day > lane.day then
    lane.day, lane.midnight, lane.day_requests, lane.day_tokens = day, midnight, 0, 0
  elseif day == lane.day then
    lane.midnight = midnight
  end
  if now >= lane.midnight and lane.day > 0 then turn_day(lane, lane.day + 1, lane.midnight + DAY) end
end

-- Pauses and cooling down.

local function rest(lane)
  return math.max(lane.paused - now, lane.cool - now, 0)
end

local function places(lane)
  return lane.failures >= FAILURES_TO_COOL and 1 or lane.concurrency
end

-- A lane's state, opened and closed by each operation.

local function set_back(lane)
  local by, key = lane.last - now, lane.key .. ':w'
  local calls = redis.call('LRANGE', key, 0, -1)
  redis.call('DEL', key)
  lane.minute_requests, lane.minute_tokens = 0, 0
  for _, call in ipairs(calls) do
    local at, requests, tokens = string.match(call, '^(%d+) (%d+) (%d+)$')
    note_call(lane, tonumber(requests), tonumber(tokens), math.max(at - by, 0))
  end
  lane.paused, lane.cool, lane.last = lane.paused - by, lane.cool - by, now
end

local function open(id)
  local lane = {id = id, key = prefix .. ':' .. id, was = {}}
  local found = redis.call('HMGET', lane.key, unpack(NAMES))
  for number, name in ipairs(NAMES) do
    local value = found[number]
    if TEXTS[name] then value = value or '' else value = tonumber(value or 0) end
    lane[name], lane.was[name] = value, value
  end
  lane.running = redis.call('HLEN', lane.key .. ':r')
  if lane.last > now + CLOCK_SLACK then set_back(lane) end
  lane.last = math.max(lane.last, now)
  turn_day(lane, lane.day, lane.midnight)
  return lane
end

local function close(lane)
  local set = {}
  for _, name in ipairs(NAMES) do
    if lane[name] ~= lane.was[name] then
      set[#set + 1], set[#set + 2] = name, lane[name]
    end
  end
  if #set > 0 then redis.call('HSET', lane.key, unpack(set)) end
  redis.call('EXPIRE', lane.key, KEEP)
end

local function keep(lane)
  for _, part in ipairs({':t', ':r', ':i', ':b'}) do redis.call('EXPIRE', lane.key .. part, KEEP) end
end

-- `config`: what the process that asks knows, empty where it told it before; `news`: others may not know it yet.
local function configure(lane, config, news)
  if config == '' or config == lane.config or not (news or lane.config == '') then return end
  local said = cjson.decode(config)
  if lane.address ~= said[1] then lane.paused, lane.cool, lane.cool_for, lane.failures = 0, 0, COOL, 0 end
  if lane.config == '' then lane.typical = TYPICAL end
  lane.config, lane.address, lane.concurrency = config, said[1], said[2]
  lane.requests_per_minute, lane.tokens_per_minute = said[3], said[4]
  lane.requests_per_day, lane.tokens_per_day = said[5], said[6]
  redis.call('SADD', prefix .. ':lanes', lane.id)
  redis.call('EXPIRE', prefix .. ':lanes', KEEP)
end

-- ARGV 4 to 8 of operations on a lane: its id, config, news, day, midnight.
local function visit()
  local lane = open(ARGV[4])
  configure(lane, ARGV[5], ARGV[6] == '1')
  turn_day(lane, tonumber(ARGV[7]), tonumber(ARGV[8]))
  return lane
end

-- `usage`: what was used before this Redis knew of it: the day, its requests and tokens, then calls of the last minute
-- as ms ago, requests, tokens.
local function load_usage(lane, usage)
  lane.loaded = 1
  local said = cjson.decode(usage)
  -- Midnight may have passed while it was read.
  if said[1] and said[1] > lane.day then turn_day(lane, said[1], lane.midnight + DAY) end
  if said[1] == lane.day then
    lane.day_requests, lane.day_tokens = lane.day_requests + said[2], lane.day_tokens + said[3]
  end
  for _, call in ipairs(said[4] or {}) do note_call(lane, call[2], call[3], now - call[1]) end
end

-- Who runs, who waits, and who is next.

local function refuse(lane, id, ticket, code, ms)
  redis.call('ZREM', lane.key .. (ticket.batch and ':b' or ':i'), id)
  redis.call('HDEL', lane.key .. ':t', id)
  changed()
  tell(ticket.owner, 'refused ' .. id .. ' ' .. code .. ' ' .. text(ms))
end

local function first(lane, line)
  while true do
    local id = redis.call('ZRANGE', lane.key .. line, 0, 0)[1]
    if not id then return end
    local record = redis.call('HGET', lane.key .. ':t', id)
    if record then return id, read(record) end
    redis.call('ZREM', lane.key .. line, id)
  end
end

-- Batch waits for the next day once this one's budget is spent; interactive is refused.
local function following(lane)
  local id, ticket = first(lane, ':i')
  while id and not day_allows(lane, ticket) do
    refuse(lane, id, ticket, 'budget', 0)
    id, ticket = first(lane, ':i')
  end
  if not id or lane.row >= BATCH_TURN then
    local batch_id, batch = first(lane, ':b')
    if batch_id and day_allows(lane, batch) then return batch_id, batch end
  end
  return id, ticket
end

local function start(lane, id, ticket)
  redis.call('HSET', lane.key .. ':r', id, text(now))
  redis.call('EXPIRE', lane.key .. ':r', KEEP)
  lane.running = lane.running + 1
  note_call(lane, ticket.requests, ticket.tokens, lane.last)
  lane.day_requests = lane.day_requests + ticket.day_requests
  lane.day_tokens = lane.day_tokens + ticket.day_tokens
  lane.row = ticket.batch and 0 or lane.row + 1
end

local function wait_of(lane, ticket)
  return math.max(born + GRACE - now, rest(lane), minute_wait(lane, ticket))
end

-- Whose turn comes next has its process look again in time; each turn is told once.
local function look_later(lane, id, owner, wait)
  local told = id .. ' ' .. text(now + wait)
  if told ~= lane.told then
    lane.told = told
    tell(owner, 'look ' .. lane.id .. ' ' .. text(wait))
  end
end

local function advance(lane)
  while lane.running < places(lane) do
    local id, ticket = following(lane)
    if not id then break end
    local wait = wait_of(lane, ticket)
    if wait > 0 then return look_later(lane, id, ticket.owner, wait) end
    redis.call('ZREM', lane.key .. (ticket.batch and ':b' or ':i'), id)
    -- Whose process nobody reaches does not start; should it live, it asks again.
    if id == entering or tell(ticket.owner, 'started ' .. id .. ' ' .. text(now)) > 0 then
      start(lane, id, ticket)
      changed()
    else
      redis.call('HDEL', lane.key .. ':t', id)
    end
  end
  if lane.running < places(lane) then
    -- Only a new day helps those that are left.
    local id, ticket = first(lane, ':b')
    if id then look_later(lane, id, ticket.owner, lane.midnight - now) end
  end
end

-- What the end of a call says about the provider.
local function judge(lane, verdict, pause, seconds)
  if verdict == 'done' then
    lane.failures, lane.cool_for = 0, COOL
    lane.typical = lane.typical + 0.2 * (seconds - lane.typical)
  elseif verdict == 'failed' then
    if pause > 0 then lane.paused = math.max(lane.paused, now + pause) end
    lane.failures = lane.failures + 1
    if lane.failures < FAILURES_TO_COOL or lane.cool > now then return end
    lane.cool, lane.cool_for = now + lane.cool_for, math.min(lane.cool_for * 2, MAX_COOL)
    for _, id in ipairs(redis.call('ZRANGE', lane.key .. ':i', 0, -1)) do
      local record = redis.call('HGET', lane.key .. ':t', id)
      local ticket = record and read(record)
      if ticket and not ticket.begun then refuse(lane, id, ticket, 'resting', rest(lane)) end
    end
  end
end
