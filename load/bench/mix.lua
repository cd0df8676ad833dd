-- Holds of two tickets, each with a key of its own, on the event named after `--`; two thirds of them are then confirmed, with the
-- token named after the event. Every third hold is abandoned.
local counter = 0
local holds = 0
local toConfirm = {}
local first, last = 1, 0
local prefix
local path
local seller

function init(args)
  math.randomseed(os.time() + tonumber(tostring({}):match('0x(%x+)'), 16) % 1000000)
  prefix = string.format('bench-%08x-%08x-', math.random(0, 2 ^ 31), math.random(0, 2 ^ 31))
  path = '/events/' .. args[1] .. '/purchases'
  seller = { ['Authorization'] = 'Bearer ' .. args[2] }
end

function request()
  if first <= last then
    local id = toConfirm[first]
    toConfirm[first] = nil
    first = first + 1
    return wrk.format('POST', path .. '/' .. id .. '/confirm', seller)
  end
  counter = counter + 1
  local headers = { ['Content-Type'] = 'application/json', ['Idempotency-Key'] = prefix .. counter }
  return wrk.format('POST', path, headers, '{"quantity":2}')
end

function response(status, _, body)
  if status ~= 201 then return end
  holds = holds + 1
  if holds % 3 == 0 then return end
  last = last + 1
  toConfirm[last] = body:match('"id":"([%x-]+)"')
end
