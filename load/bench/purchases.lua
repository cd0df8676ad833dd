-- Purchases of two tickets, each with a key of its own, on the events named after `--`, in turn.
local counter = 0
local paths = {}
local prefix

function init(args)
  math.randomseed(os.time() + tonumber(tostring({}):match('0x(%x+)'), 16) % 1000000)
  prefix = string.format('bench-%08x-%08x-', math.random(0, 2 ^ 31), math.random(0, 2 ^ 31))
  for _, id in ipairs(args) do
    paths[#paths + 1] = '/events/' .. id .. '/purchases'
  end
end

function request()
  counter = counter + 1
  local headers = { ['Content-Type'] = 'application/json', ['Idempotency-Key'] = prefix .. counter }
  return wrk.format('POST', paths[counter % #paths + 1], headers, '{"quantity":2}')
end
