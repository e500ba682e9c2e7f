-- Sends requests in batches of 16 (or of the number given: wrk -s pipeline.lua URL -- 32).

function init(args)
  local depth = tonumber(args[1]) or 16
  local requests = {}
  for i = 1, depth do
    requests[i] = wrk.format("GET")
  end
  batch = table.concat(requests)
end

function request()
  return batch
end
