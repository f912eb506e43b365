-- Give the lead up, if it is the caller's. The epoch stays in the head: the next leader gets the next one.
--
-- KEYS  leader
-- ARGV  who resigns

local held_by = string.match(redis.call('GET', KEYS[1]) or '', '^%d+ (.*)$')
if held_by == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
