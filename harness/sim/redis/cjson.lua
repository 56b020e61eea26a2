-- cjson as Redis ships it: JSON from Lua's values and back. Numbers are written with 14 digits, an empty table is {}.

local type, error, pairs, tonumber, tostring, floor = type, error, pairs, tonumber, tostring, math.floor
local find, sub, byte, char, gsub, format, concat = string.find, string.sub, string.byte, string.char, string.gsub,
  string.format, table.concat

local MAX_DEPTH = 1000
local SPARSE_RATIO, SPARSE_SAFE = 2, 10

local null = newproxy(true)
getmetatable(null).__tostring = function() return 'userdata: (nil)' end

-- Encoding

local ESCAPES = { ['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\b'] = '\\b', ['\f'] = '\\f', ['\n'] = '\\n',
  ['\r'] = '\\r', ['\t'] = '\\t' }

local function escape(c)
  return ESCAPES[c] or format('\\u%04x', byte(c))
end

local function encode_string(text)
  if find(text, '[%z\1-\31"\\/\127]') then
    text = gsub(text, '[%z\1-\31"\\/\127]', escape)
  end
  return '"' .. text .. '"'
end

local function encode_number(number)
  if number ~= number or number == math.huge or number == -math.huge then
    error('Cannot serialise number: must not be NaN or Inf', 0)
  end
  return format('%.14g', number)
end

-- The length of an array; nil for what is none: empty, or with keys that are no positions.
local function array_length(value)
  local last, count = 0, 0
  for key in pairs(value) do
    if type(key) ~= 'number' or key < 1 or floor(key) ~= key then
      return nil
    end
    last, count = key > last and key or last, count + 1
  end
  if last > count * SPARSE_RATIO and last > SPARSE_SAFE then
    error('Cannot serialise table: excessively sparse array', 0)
  end
  return last > 0 and last or nil
end

local encode_value

local function encode_object(value, depth)
  local parts, count = {}, 0
  for key, item in pairs(value) do
    local name
    if type(key) == 'string' then
      name = encode_string(key)
    elseif type(key) == 'number' then
      name = '"' .. encode_number(key) .. '"'
    else
      error('Cannot serialise ' .. type(key) .. ': table key must be a number or string', 0)
    end
    count = count + 1
    parts[count] = name .. ':' .. encode_value(item, depth)
  end
  return '{' .. concat(parts, ',') .. '}'
end

local function encode_table(value, depth)
  if depth > MAX_DEPTH then
    error('Cannot serialise, excessively nested (' .. depth .. ')', 0)
  end
  local length = array_length(value)
  if not length then
    return encode_object(value, depth)
  end
  local parts = {}
  for i = 1, length do
    parts[i] = encode_value(value[i], depth)
  end
  return '[' .. concat(parts, ',') .. ']'
end

function encode_value(value, depth)
  local kind = type(value)
  if kind == 'string' then
    return encode_string(value)
  elseif kind == 'number' then
    return encode_number(value)
  elseif kind == 'table' then
    return encode_table(value, depth + 1)
  elseif kind == 'boolean' then
    return tostring(value)
  elseif value == nil or value == null then
    return 'null'
  end
  error('Cannot serialise ' .. kind .. ': type not supported', 0)
end

-- Decoding: each function takes the text and where to begin, and gives the value and where it ended.

local TOKENS = { ['{'] = 'T_OBJ_BEGIN', ['}'] = 'T_OBJ_END', ['['] = 'T_ARR_BEGIN', [']'] = 'T_ARR_END',
  [':'] = 'T_COLON', [','] = 'T_COMMA', ['"'] = 'T_STRING', [''] = 'T_END' }

local function expected(what, text, at)
  local found = TOKENS[sub(text, at, at)] or find(text, '^[-%d]', at) and 'T_NUMBER'
    or find(text, '^true', at) and 'T_BOOLEAN' or find(text, '^false', at) and 'T_BOOLEAN'
    or find(text, '^null', at) and 'T_NULL' or 'invalid token'
  error(format('Expected %s but found %s at character %d', what, found, at), 0)
end

local function skip(text, at)
  local _, last = find(text, '^[ \t\r\n]*', at)
  return last + 1
end

local UNESCAPES = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', b = '\b', f = '\f', n = '\n', r = '\r', t = '\t' }

local function utf8(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40)
  elseif code < 0x10000 then
    return char(0xE0 + floor(code / 0x1000), 0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return char(0xF0 + floor(code / 0x40000), 0x80 + floor(code / 0x1000) % 0x40, 0x80 + floor(code / 0x40) % 0x40,
    0x80 + code % 0x40)
end

local function hex(text, at)
  local _, _, digits = find(text, '^\\u(%x%x%x%x)', at)
  return digits and tonumber(digits, 16)
end

local function decode_unicode(text, at)
  local code = hex(text, at)
  if code and code >= 0xD800 and code < 0xDC00 then
    local low = hex(text, at + 6)
    if low and low >= 0xDC00 and low < 0xE000 then
      return utf8(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00), at + 12
    end
    code = nil
  end
  if not code or (code >= 0xDC00 and code < 0xE000) then
    error('Expected value but found invalid unicode escape code at character ' .. at, 0)
  end
  return utf8(code), at + 6
end

local function decode_string(text, at)
  local parts, count, start = {}, 0, at + 1
  while true do
    local stop = find(text, '["\\%z]', start)
    local mark = stop and sub(text, stop, stop)
    if mark == '"' then
      if count == 0 then
        return sub(text, start, stop - 1), stop + 1
      end
      parts[count + 1] = sub(text, start, stop - 1)
      return concat(parts), stop + 1
    elseif mark ~= '\\' then
      error('Expected value but found unexpected end of string at character ' .. (stop or #text + 1), 0)
    end
    local escaped = sub(text, stop + 1, stop + 1)
    local piece, after = UNESCAPES[escaped], stop + 2
    if escaped == 'u' then
      piece, after = decode_unicode(text, stop)
    elseif not piece then
      error('Expected value but found invalid escape code at character ' .. stop, 0)
    end
    parts[count + 1], parts[count + 2] = sub(text, start, stop - 1), piece
    count, start = count + 2, after
  end
end

local function decode_number(text, at)
  local _, last = find(text, '^-?%d+%.?%d*[eE]?[+-]?%d*', at)
  local number = last and tonumber(sub(text, at, last))
  if not number or find(text, '^-?0%d', at) then
    error('Expected value but found invalid number at character ' .. at, 0)
  end
  return number, last + 1
end

local decode_value

local function decode_array(text, at, depth)
  local array, count = {}, 0
  at = skip(text, at + 1)
  if sub(text, at, at) == ']' then
    return array, at + 1
  end
  while true do
    count = count + 1
    array[count], at = decode_value(text, at, depth)
    at = skip(text, at)
    local mark = sub(text, at, at)
    if mark == ']' then
      return array, at + 1
    elseif mark ~= ',' then
      expected('comma or array end', text, at)
    end
    at = skip(text, at + 1)
  end
end

local function decode_object(text, at, depth)
  local object, key = {}, nil
  at = skip(text, at + 1)
  if sub(text, at, at) == '}' then
    return object, at + 1
  end
  while true do
    if sub(text, at, at) ~= '"' then
      expected('object key string', text, at)
    end
    key, at = decode_string(text, at)
    at = skip(text, at)
    if sub(text, at, at) ~= ':' then
      expected('colon', text, at)
    end
    object[key], at = decode_value(text, skip(text, at + 1), depth)
    at = skip(text, at)
    local mark = sub(text, at, at)
    if mark == '}' then
      return object, at + 1
    elseif mark ~= ',' then
      expected('comma or object end', text, at)
    end
    at = skip(text, at + 1)
  end
end

local WORDS = { { 'true', true }, { 'false', false }, { 'null', null } }

function decode_value(text, at, depth)
  local mark = sub(text, at, at)
  if mark == '"' then
    return decode_string(text, at)
  elseif mark == '{' or mark == '[' then
    if depth >= MAX_DEPTH then
      error('Found too many nested data structures (' .. depth + 1 .. ')', 0)
    end
    if mark == '{' then
      return decode_object(text, at, depth + 1)
    end
    return decode_array(text, at, depth + 1)
  elseif find(mark, '[-%d]') then
    return decode_number(text, at)
  end
  for _, word in ipairs(WORDS) do
    if sub(text, at, at + #word[1] - 1) == word[1] then
      return word[2], at + #word[1]
    end
  end
  return expected('value', text, at)
end

-- The real one is written in C: its errors say where they were raised in the script.
local function located(ok, ...)
  if not ok then
    error((...), 3)
  end
  return ...
end

local function decode(text)
  if type(text) == 'number' then
    text = tostring(text)
  elseif type(text) ~= 'string' then
    error("bad argument #1 to 'decode' (string expected, got " .. (text == nil and 'nil' or type(text)) .. ')', 0)
  end
  local value, at = decode_value(text, skip(text, 1), 0)
  at = skip(text, at)
  if at <= #text then
    expected('the end', text, at)
  end
  return value
end

return {
  null = null,
  encode = function(...)
    if select('#', ...) ~= 1 then
      error("bad argument #1 to 'encode' (expected 1 argument)", 2)
    end
    return located(pcall(encode_value, (...), 0))
  end,
  decode = function(text)
    return located(pcall(decode, text))
  end,
}
