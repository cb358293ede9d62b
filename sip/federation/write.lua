-- Tells the nodes what became of the bindings of one line: each op alone, if it counts where another node's stands.
-- KEYS: sequence number, stream, set of lines that have bindings, hash of this line.
-- ARGV: line, node, now in Unix milliseconds, length of the stream, then for each op: "s" or "d", key, value.
-- Answers 1 or 0 for each op. A value begins with version, node, Call-ID, CSeq, time, expiry: see sip/location/value.go.
local head = 31
local function expiry(value)
  if #value < head then
    return 0
  end
  return (select(6, struct.unpack('>BI6c8I4I6I6', value)))
end
local function outranks(new, old)
  if #old < head then
    return true
  end
  local _, node, call, cseq, stamp = struct.unpack('>BI6c8I4I6I6', new)
  local _, onode, ocall, ocseq, ostamp = struct.unpack('>BI6c8I4I6I6', old)
  if node == onode then
    return true
  elseif call == ocall and cseq ~= ocseq then
    return cseq > ocseq
  elseif stamp ~= ostamp then
    return stamp > ostamp
  end
  return node > onode
end

local taken, told = {}, {}
for i = 5, #ARGV, 3 do
  local op, key, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old = redis.call('HGET', KEYS[4], key)
  local counts = not old or outranks(value, old)
  taken[#taken + 1] = counts and 1 or 0
  -- A removal that has a time is kept so long, for what is told later but was said before.
  local kept = op == 's' or expiry(value) > 0
  if counts and kept then
    redis.call('HSET', KEYS[4], key, value)
  elseif counts and old then
    redis.call('HDEL', KEYS[4], key)
  end
  if counts and (kept or old) then
    told[#told + 1] = op .. key
    told[#told + 1] = value
  end
end
if #told == 0 then
  return taken
end
-- What a dead node left is taken away with the next change or with the hash, a minute late because clocks differ.
local last, now, all = 0, tonumber(ARGV[3]), redis.call('HGETALL', KEYS[4])
for i = 1, #all, 2 do
  local expires = expiry(all[i + 1])
  if expires + 60000 < now then
    redis.call('HDEL', KEYS[4], all[i])
  else
    last = math.max(last, expires)
  end
end
if last > 0 then
  redis.call('PEXPIREAT', KEYS[4], string.format('%.0f', last + 60000))
  redis.call('SADD', KEYS[3], ARGV[1])
else
  redis.call('SREM', KEYS[3], ARGV[1])
end
local seq = string.format('%.0f', redis.call('INCR', KEYS[1]))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], seq .. '-0', 'l', ARGV[1], 'n', ARGV[2], unpack(told))
return taken
