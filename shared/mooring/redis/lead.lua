-- Take or renew the lead. The leader's key says "<epoch> <who>" and expires; the head keeps the epoch when it is gone.
--
-- KEYS  leader, head
-- ARGV  who asks, expiry in milliseconds
-- Returns the epoch that the caller leads, or nil while another leads.

local leader, head = KEYS[1], KEYS[2]
local who, expiry = ARGV[1], ARGV[2]

local epoch = tonumber(redis.call('HGET', head, 'epoch') or '0') or 0
local held_epoch, held_by = string.match(redis.call('GET', leader) or '', '^(%d+) (.*)$')
if held_by and held_by ~= who then
  return nil
end
if held_by and tonumber(held_epoch) == epoch then
  redis.call('PEXPIRE', leader, expiry) -- unlike SET, also when Redis is full
  return epoch
end
-- Nobody leads, or the head forgot that we do: a new epoch, above all that were.
epoch = math.max(epoch, tonumber(held_epoch or '0')) + 1
redis.call('HSET', head, 'epoch', string.format('%d', epoch))
redis.call('SET', leader, string.format('%d %s', epoch, who), 'PX', expiry)
return epoch
