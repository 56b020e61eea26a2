-- Where scripts run: what they may see, and the way from Lua's values to RESP.
--
-- Called once with invoke(command, ...): does a Redis command; its reply as a Lua value (an error as {err = text}),
-- sha1hex(text), and cjson. Returns compile(text, sha), which gives a script's function or nil and what is wrong with
-- it, and run(script, sha, null, number of keys, key..., argument...), which gives the script's reply in RESP.

local invoke, sha1hex, cjson = ...
local type, error, pcall, select, rawget, rawset, unpack = type, error, pcall, select, rawget, rawset, unpack
local format, concat, match, gsub = string.format, table.concat, string.match, string.gsub
local getinfo, loadstring, setfenv = debug.getinfo, loadstring, setfenv

local redis = { LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3, sha1hex = sha1hex }

function redis.log() end

function redis.error_reply(text)
  return { err = text:find('^%-') and text:sub(2) or text:find(' ') and text or 'ERR ' .. text }
end

function redis.status_reply(text)
  return { ok = text }
end

function redis.pcall(...)
  return invoke(...)
end

function redis.call(...)
  local reply = invoke(...)
  if type(reply) == 'table' and reply.err then
    local caller = getinfo(2, 'l')
    reply.line = caller and caller.currentline > 0 and caller.currentline
    error(reply, 0)
  end
  return reply
end

-- An error that a script catches is a text, as it always was.
local function caught(ok, ...)
  local first = ...
  if not ok and type(first) == 'table' and first.err then
    return ok, first.err
  end
  return ok, ...
end

local visible = {
  redis = redis, cjson = cjson, string = string, table = table,
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next, pairs = pairs,
  rawequal = rawequal, rawget = rawget, rawset = rawset, select = select, setmetatable = setmetatable,
  tonumber = tonumber, tostring = tostring, type = type, unpack = unpack, _VERSION = _VERSION,
  pcall = function(...) return caught(pcall(...)) end,
  -- Without random: chance comes from the seed of a simulation, and nowhere else.
  math = {
    abs = math.abs, ceil = math.ceil, exp = math.exp, floor = math.floor, fmod = math.fmod, huge = math.huge,
    log = math.log, log10 = math.log10, max = math.max, min = math.min, modf = math.modf, pi = math.pi,
    pow = math.pow, sqrt = math.sqrt,
  },
}
setmetatable(visible, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})
local environment = setmetatable({}, {
  __index = visible,
  __newindex = function() error('Attempt to modify a readonly table', 2) end,
})
visible._G = environment

local function compile(text, sha)
  if text:sub(1, 1) == '\27' then
    return nil, 'bytecode is not allowed'
  end
  local script, wrong = loadstring(text, '@user_script')
  if not script then
    return nil, wrong
  end
  return setfenv(script, environment)
end

-- One line only: RESP's simple strings and errors cannot hold more.
local function line(text)
  return (gsub(text, '[\r\n]', ' '))
end

local encode

local function encode_table(value, null)
  if value.err then
    return '-' .. line(tostring(value.err)) .. '\r\n'
  end
  if value.ok then
    return '+' .. line(tostring(value.ok)) .. '\r\n'
  end
  local parts, count = { '' }, 0
  while value[count + 1] ~= nil do
    count = count + 1
    parts[count + 1] = encode(value[count], null)
  end
  parts[1] = format('*%d\r\n', count)
  return concat(parts)
end

function encode(value, null)
  local kind = type(value)
  if kind == 'string' then
    return format('$%d\r\n', #value) .. value .. '\r\n'
  elseif kind == 'number' then
    return format(':%d\r\n', value)
  elseif kind == 'table' then
    return encode_table(value, null)
  elseif kind == 'boolean' and value then
    return ':1\r\n'
  end
  return null
end

local function failed(problem, sha)
  local text, at
  if type(problem) == 'table' then
    text, at = problem.err or 'ERR unknown error', problem.line
  elseif type(problem) == 'string' then
    text, at = 'ERR ' .. problem, match(problem, '^user_script:(%d+):')
  else
    error(problem, 0)
  end
  return '-' .. line(format('%s script: %s, on @user_script:%s.', text, sha, at or '?')) .. '\r\n'
end

local function run(script, sha, null, count, ...)
  local keys, arguments = {}, { select(count + 1, ...) }
  for i = 1, count do
    keys[i] = (select(i, ...))
  end
  rawset(visible, 'KEYS', keys)
  rawset(visible, 'ARGV', arguments)
  local ok, result = pcall(script)
  if not ok then
    return failed(result, sha)
  end
  return encode(result, null)
end

return { compile = compile, run = run }
