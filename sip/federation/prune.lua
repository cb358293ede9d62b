-- Takes lines out of the set of those that have bindings when their hash has expired: nothing else tells that it has.
-- KEYS: set of lines, then the hash of each line. ARGV: the lines.
for i, line in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[i + 1]) == 0 then -- it may have been bound since it was found empty
    redis.call('SREM', KEYS[1], line)
  end
end
