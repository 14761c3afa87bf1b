# SPDX-License-Identifier: BSL-1.0
-- Allocates as Lua programs do; one line for each section, which depends on what the section computed.
-- Strings hash differently each time, so nothing may depend on the order of pairs().
collectgarbage(arg[1])

local state = 12345
local function chance(below)
  state = (state * 1103515245 + 12345) & 0x7fffffff
  return (state >> 8) % below
end

local function checksum(text) -- FNV-1a over 8-byte words, then the tail
  local hash, whole = 0xcbf29ce484222325, #text & ~7
  for at = 1, whole, 8 do hash = (hash ~ string.unpack('<i8', text, at)) * 0x100000001b3 end
  for at = whole + 1, #text do hash = (hash ~ text:byte(at)) * 0x100000001b3 end
  return hash
end

local function section(name, text) io.write(string.format('%s %d %016x\n', name, #text, checksum(text))) end

local words = {}
for i = 1, 20000 do words[i] = string.format('%x', i * 2654435761):rep(1 + i % 4) end

local function flat(map)
  local list = {}
  for key, value in pairs(map) do list[#list + 1] = key .. '=' .. tostring(value) end
  table.sort(list)
  return table.concat(list, ',')
end

local map = {}
for step = 1, 600000 do
  local key = words[1 + chance(20000)] .. chance(5)
  if step % 3 == 0 then map[key] = nil else map[key] = (map[key] or '') .. step % 10 end
end
section('tables', flat(map))

local pieces = {}
for i = 1, 150000 do pieces[i] = words[1 + i % 20000] end
local text = table.concat(pieces, ' ')
local swapped = text:gsub('(%w)(%w+)', '%2%1')
local count = {}
for word in swapped:gmatch('%a+%d') do count[word] = (count[word] or 0) + 1 end
section('strings', swapped .. flat(count))
table.sort(pieces, function(a, b) return #a < #b or #a == #b and a > b end)
section('sorting', table.concat(pieces))

local function tree(depth)
  if depth == 0 then return { name = words[1 + chance(20000)] } end
  local node = { name = depth, children = {} }
  for i = 1, 6 do node.children[i] = tree(depth - 1) end
  return node
end
local function names(node, into)
  into[#into + 1] = node.name
  for _, child in ipairs(node.children or {}) do names(child, into) end
  return into
end
for round = 1, 4 do section('trees', table.concat(names(tree(6), {}), ' ')) end

local log = {}
local routines = {}
for i = 1, 2000 do
  routines[i] = coroutine.wrap(function(first)
    local kept = { first }
    while true do
      kept[#kept + 1] = coroutine.yield(table.concat(kept, '-'):sub(-40)) .. i
      if #kept > 20 then kept = { #kept } end
    end
  end)
end
for step = 1, 60 do
  for i, routine in ipairs(routines) do log[#log + 1] = routine(step .. i % 7) end
end
section('coroutines', table.concat(log))

local closed = 0
local cache = setmetatable({}, { __mode = 'kv' })
for i = 1, 200000 do
  local thing = setmetatable({ i, words[1 + i % 20000] }, { __gc = function(self) closed = closed + self[1] end })
  cache[thing] = { thing }
  if i % 50000 == 0 then collectgarbage() end
end
collectgarbage()
collectgarbage()
section('collected', string.format('%d %s', closed, tostring(next(cache))))

local growing = {}
for i = 1, 300 do
  local list = {}
  for j = 1, 20 * i do list[j] = j * i end
  growing[i] = table.unpack(list, 1, 3) + #list
  if i % 2 == 0 then growing[i] = #string.rep(words[i], 50 * i) end
end
section('growing', table.concat(growing, ','))
print('end')
