-- Drop the entries before a sequence and note the first that is kept. The newest entry stays whatever is asked.
--
-- KEYS  head, events
-- ARGV  the first sequence to keep

local head, events = KEYS[1], KEYS[2]
local first = tonumber(ARGV[1])

local present = redis.call('HMGET', head, 'first', 'sequence')
if present[1] and tonumber(present[1]) < first and first <= tonumber(present[2]) then
  redis.call('XTRIM', events, 'MINID', '=', string.format('%d-0', first))
  redis.call('HSET', head, 'first', string.format('%d', first))
end
