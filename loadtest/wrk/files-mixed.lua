-- The requests of the scenario files-mixed, in its proportions; prints how many answers had
-- another status than they have to: wrk -s files-mixed.lua URL.

local files = {
  { "/", 20, 200 },
  { "/style.css", 20, 200 },
  { "/logo.svg", 20, 200 },
  { "/hello.txt", 20, 200 },
  { "/4k.bin", 15, 200 },
  { "/100k.bin", 3, 200 },
  { "/no-such-file", 2, 404 },
}
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

-- Drawn, not in turn: wrk does not say which answer is to which request, so only sums are compared.
function init(args)
  requests = {}
  asked_404, got_404, odd = 0, 0, 0
  for _, file in ipairs(files) do
    for _ = 1, file[2] do
      table.insert(requests, { wrk.format("GET", file[1]), file[3] })
    end
  end
end

function request()
  local drawn = requests[math.random(#requests)]
  if drawn[2] == 404 then
    asked_404 = asked_404 + 1
  end
  return drawn[1]
end

function response(status)
  if status == 404 then
    got_404 = got_404 + 1
  elseif status ~= 200 then
    odd = odd + 1
  end
end

function done()
  local asked, got, odd = 0, 0, 0
  for _, thread in ipairs(threads) do
    asked = asked + thread:get("asked_404")
    got = got + thread:get("got_404")
    odd = odd + thread:get("odd")
  end
  print(string.format("404: %d asked, %d got; other: %d", asked, got, odd))
end
