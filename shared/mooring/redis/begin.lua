-- Open a new incarnation: empty the stream and all beside it, and write a fresh head.
--
-- KEYS  head, events, catalog, bindings, settings, ports
-- ARGV  incarnation, epoch, run id
-- Returns the epoch that the head holds; nothing was done unless it is the caller's.

local head = KEYS[1]
local incarnation, epoch, run_id = ARGV[1], ARGV[2], ARGV[3]

local present = redis.call('HGET', head, 'epoch')
if present and present ~= epoch then
  return present
end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', head, 'incarnation', incarnation, 'epoch', epoch, 'run_id', run_id, 'sequence', '0', 'first', '1',
  'complete', '0')
return epoch
