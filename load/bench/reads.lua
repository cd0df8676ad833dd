-- Availability reads of the event named after `--`.
function init(args)
  wrk.path = '/events/' .. args[1]
end
