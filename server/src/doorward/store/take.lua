-- Takes of several rates at once, or of none: what doorward.protocol.limit_cell does, for whoever counts in Valkey.
--
-- KEYS  the cells: "ARRIVAL TURN LENT LENT_BEFORE", the arrival in nanoseconds since 1970
-- ARGV  for each of them: interval, tolerance, cost, extra, share; left, size and turn of the loan that is paid back
-- ->    seconds, microseconds; then for each: whether it fits, what is granted, how far ahead of now its arrival is
--
-- Lua counts in doubles, exact to 2^53: nanoseconds since 1970 are more. So an arrival is read as seconds and the rest,
-- and counted as how far it is ahead of now, which is a day at most.
local TURN = 5
local BILLION = 1e9

local time = redis.call("TIME")
local seconds, micros = tonumber(time[1]), tonumber(time[2])
local turn = math.floor(seconds / TURN)

local function ahead_of(whole, rest)
  return (tonumber(whole) - seconds) * BILLION + tonumber(rest) - micros * 1000
end

local function text_of(ahead, lent, before)
  local nanos = micros * 1000 + ahead
  local whole = math.floor(nanos / BILLION)
  return string.format("%d%09d %d %d %d", seconds + whole, nanos - whole * BILLION, turn, lent, before)
end

local function read(key)
  local text = redis.call("GET", key) or ""
  local whole, rest, at, lent, before = string.match(text, "^(%d+)(%d%d%d%d%d%d%d%d%d) (%d+) (%d+) (%d+)$")
  if not whole then
    return 0, 0, 0, 0
  end
  return ahead_of(whole, rest), tonumber(at), tonumber(lent), tonumber(before)
end

local function lent_in(asked, at, lent, before)
  return asked == at and lent or asked == at - 1 and before or 0
end

local function settled(key, wanted)
  local ahead, at, lent, before = read(key)
  local cell = { lent = lent_in(turn, at, lent, before), before = lent_in(turn - 1, at, lent, before) }
  cell.changed = ahead > wanted.tolerance or wanted.size > 0
  ahead = math.min(ahead, wanted.tolerance)
  if wanted.size > 0 and wanted.turn == turn then
    cell.lent = math.max(cell.lent - wanted.size, 0)
    ahead = ahead - wanted.left * wanted.interval
  elseif wanted.size > 0 and wanted.turn == turn - 1 then
    cell.before = math.max(cell.before - wanted.size, 0)
    ahead = ahead - wanted.left * wanted.interval
  end
  cell.ahead = math.max(ahead, 0)
  return cell
end

local function offer(cell, wanted)
  local free = math.floor(math.max(wanted.share - cell.lent - cell.before + 1, 0) / 2)
  local there = math.floor((wanted.tolerance - cell.ahead) / wanted.interval)
  return math.min(there, wanted.cost + math.min(wanted.extra, free))
end

local cells, all = {}, true
for i = 1, #KEYS do
  local n = {}
  for j = 1, 8 do
    n[j] = tonumber(ARGV[(i - 1) * 8 + j])
  end
  local wanted = {
    interval = n[1], tolerance = n[2], cost = n[3], extra = n[4], share = n[5], left = n[6], size = n[7], turn = n[8],
  }
  local cell = settled(KEYS[i], wanted)
  cell.wanted, cell.granted = wanted, offer(cell, wanted)
  cell.fits = cell.granted >= wanted.cost
  all = all and cell.fits
  cells[i] = cell
end

local answer = { seconds, micros }
for i, cell in ipairs(cells) do
  local granted = all and cell.granted or 0
  local lent = all and math.max(granted - cell.wanted.cost, 0) or 0
  local ahead = math.max(cell.ahead + granted * cell.wanted.interval, 0)
  if granted ~= 0 or cell.changed then
    -- As long as it says anything, or as what is lent is known.
    local kept = math.ceil(ahead / 1e6) + 2 * TURN * 1000
    redis.call("SET", KEYS[i], text_of(ahead, cell.lent + lent, cell.before), "PX", string.format("%d", kept))
  end
  table.insert(answer, cell.fits and 1 or 0)
  table.insert(answer, granted)
  table.insert(answer, ahead)
end
return answer
