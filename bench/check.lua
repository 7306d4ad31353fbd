-- One kind of request for wrk, told by BENCH_* in the environment; every reply is checked, the count is printed as JSON.

local status = tonumber(os.getenv("BENCH_STATUS"))
local member = os.getenv("BENCH_MEMBER")
local fresh = os.getenv("BENCH_FRESH") == "yes"
local last = nil
replies, wrong, first_wrong = 0, 0, ""

wrk.method = os.getenv("BENCH_METHOD")
wrk.body = os.getenv("BENCH_BODY")
if wrk.body ~= "" then wrk.headers["Content-Type"] = os.getenv("BENCH_CONTENT_TYPE") end
if os.getenv("BENCH_AUTHORIZATION") ~= "" then wrk.headers["Authorization"] = os.getenv("BENCH_AUTHORIZATION") end

for name, value in (os.getenv("BENCH_HEADERS") or ""):gmatch("([^:\n]+): ([^\n]*)\n") do wrk.headers[name] = value end

asked = 0
-- Of these one is sent after the other, and over again.
local bodies = {}
for line in (os.getenv("BENCH_BODIES") or ""):gmatch("[^\n]+") do table.insert(bodies, line) end
if #bodies > 0 then
  wrk.headers["Content-Type"] = os.getenv("BENCH_CONTENT_TYPE")
  function request()
    asked = asked + 1
    return wrk.format(nil, nil, nil, bodies[asked % #bodies + 1])
  end
end

-- Of these each is used once: one more than there are is refused, and so counts as wrong.
local endings, ends = os.getenv("BENCH_ENDINGS") or "", {}
if endings ~= "" then
  for line in io.lines(endings) do table.insert(ends, line) end
  function request()
    asked = asked + 1
    return wrk.format(nil, nil, nil, wrk.body .. (ends[asked] or ""))
  end
end

function response(code, _, body)
  replies = replies + 1
  if code ~= status or not body:find(member, 1, true) or (fresh and body == last) then
    wrong = wrong + 1
    if first_wrong == "" then first_wrong = code .. " " .. (body:match('"reason":"[%w_]+"') or "") end
  end
  last = body
end

local threads = {}

function setup(thread) table.insert(threads, thread) end

function done(summary, latency, _)
  local errors, all, bad, used, example = summary.errors, 0, 0, 0, ""
  for _, thread in ipairs(threads) do
    all, bad, used = all + thread:get("replies"), bad + thread:get("wrong"), used + thread:get("asked")
    if example == "" then example = thread:get("first_wrong") end
  end
  io.write(string.format(
    '\n{"replies": %d, "wrong": %d, "broken": %d, "asked": %d, "microseconds": %d, "p50": %d, "p99": %d}\n%s',
    all, bad, errors.connect + errors.read + errors.write + errors.timeout, used,
    summary.duration, latency:percentile(50), latency:percentile(99), example))
end
