-- Confirms each purchase once. After `--`: their event, the seller's token, and a file of their ids, one per line.
local ids
local event
local headers

function init(args)
  event = args[1]
  headers = { ['Authorization'] = 'Bearer ' .. args[2] }
  ids = io.lines(args[3])
end

function request()
  local id = ids()
  -- No id is left: the answers to this path are counted as refusals, and the run is void.
  return wrk.format('POST', '/events/' .. event .. '/purchases/' .. (id or 'none-left') .. '/confirm', headers)
end
