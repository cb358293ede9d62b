-- Writes one revision: all of it or nothing.
-- KEYS: meta, stream, then the hash of each table that is written, in the order in which the entries first name it.
-- ARGV: the revision that the writer believes in, the layout version, the length of the stream, the packed entries for it,
--       then for each entry: "s" or "d", its table, its id, its value ("" for "d").
-- Answers {1, new revision}, {0, revision found} or {-1, version found}.
local version = redis.call('HGET', KEYS[1], 'version')
if version and version ~= ARGV[2] then
  return {-1, version}
end
local revision = redis.call('HGET', KEYS[1], 'revision') or '0'
if revision ~= ARGV[1] then
  return {0, revision}
end
-- A command that fails halfway would leave half a change behind: whatever can fail is asked before the first write.
for i = 3, #KEYS do
  local kind = redis.call('TYPE', KEYS[i])['ok']
  if kind ~= 'hash' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is no hash')
  end
end
local after = string.format('%.0f', tonumber(revision) + 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], after .. '-0', 'e', ARGV[4])
local hashes, used = {}, 2
for i = 5, #ARGV, 4 do
  local name = ARGV[i + 1]
  if not hashes[name] then
    used = used + 1
    hashes[name] = KEYS[used]
    redis.call('HSET', KEYS[1], 'table:' .. name, '1')
  end
  if ARGV[i] == 's' then
    redis.call('HSET', hashes[name], ARGV[i + 2], ARGV[i + 3])
  else
    redis.call('HDEL', hashes[name], ARGV[i + 2])
  end
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'revision', after)
return {1, after}
