-- The atomic step: append a batch and bring catalog, ports and head along, or do nothing at all.
--
-- Redis does not roll a script back. So everything that can be wrong is looked at first; from the first write on
-- nothing can fail any more. The caller (client.py) has checked the batch itself and folded it to one write per field.
--
-- KEYS  head, events, catalog, bindings, settings, ports
-- ARGV  incarnation, epoch, after, complete ("1" or ""),
--       count of entries, then for each: n, n texts (field, value, ...)
--       for catalog, bindings, settings each: n, n texts (field, value, ...), then m, m fields to remove
--       n, n texts of the whole table of ports, or "same"
--       n, n texts of the head's source fields
-- Returns {"appended"} | {"overtaken", the head's fields} | {"gone"}: the stream is not the one that the head is about.

local head, events, ports = KEYS[1], KEYS[2], KEYS[6]
local tables = { KEYS[3], KEYS[4], KEYS[5] }

-- Lua's stack holds some 8000 values: one command gets at most this many.
local CHUNK = 1000

local position = 0

local function take()
  position = position + 1
  return ARGV[position]
end

local function take_span()
  local count = tonumber(take())
  position = position + count
  return { from = position - count + 1, to = position }
end

local function each_chunk(span, command, key)
  for from = span.from, span.to, CHUNK do
    redis.call(command, key, unpack(ARGV, from, math.min(from + CHUNK - 1, span.to)))
  end
end

local function id(sequence)
  return string.format('%d-0', sequence)
end

local function last_id()
  if redis.call('EXISTS', events) == 0 then
    return '0-0'
  end
  local about = redis.call('XINFO', 'STREAM', events)
  for index = 1, #about, 2 do
    if about[index] == 'last-generated-id' then
      return about[index + 1]
    end
  end
end

local function stands_last(span)
  local newest = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
  if not newest or #newest[2] ~= span.to - span.from + 1 then
    return false
  end
  for index, text in ipairs(newest[2]) do
    if text ~= ARGV[span.from + index - 1] then
      return false
    end
  end
  return true
end

local incarnation, epoch, after, complete = take(), take(), tonumber(take()), take()
local entries = {}
for index = 1, tonumber(take()) do
  entries[index] = take_span()
end

-- Look.
local present = redis.call('HMGET', head, 'incarnation', 'epoch', 'sequence')
local sequence = tonumber(present[3])
if not present[1] or not sequence or last_id() ~= id(sequence) then
  return { 'gone' }
end
if present[1] ~= incarnation or present[2] ~= epoch then
  return { 'overtaken', redis.call('HGETALL', head) }
end
if #entries > 0 and sequence == after + #entries and stands_last(entries[#entries]) then
  return { 'appended' } -- this very batch, after a lost answer
end
if sequence ~= after then
  return { 'overtaken', redis.call('HGETALL', head) }
end
for _, key in ipairs({ tables[1], tables[2], tables[3], ports }) do
  redis.call('HLEN', key) -- fails here, and not after the first write, when a key is something else than a hash
end

-- Write.
for index, span in ipairs(entries) do
  redis.call('XADD', events, id(after + index), unpack(ARGV, span.from, span.to))
end
for _, key in ipairs(tables) do
  each_chunk(take_span(), 'HSET', key)
  each_chunk(take_span(), 'HDEL', key)
end
if ARGV[position + 1] == 'same' then
  take()
else
  redis.call('DEL', ports)
  each_chunk(take_span(), 'HSET', ports)
end
each_chunk(take_span(), 'HSET', head)
redis.call('HSET', head, 'sequence', string.format('%d', after + #entries))
if complete == '1' then
  redis.call('HSET', head, 'complete', '1')
end
return { 'appended' }
