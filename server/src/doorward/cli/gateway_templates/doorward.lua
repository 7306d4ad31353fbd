-- Asks Doorward about a request, for HAProxy 2.6 or newer: see haproxy.cfg, which refuses whatever this did not allow.

local URL = "http://{{ wanted.check.host ~ ":" ~ wanted.check.port if wanted.check.host else "localhost" }}/check/"
local SOCKET = {{ '"unix@' ~ wanted.check.socket ~ '"' if wanted.check.socket else "nil" }}
-- Milliseconds; it is tried again three times.
local TIMEOUT = 500
{% if wanted.plaintext %}
-- It takes its time over what arrived in the clear.
local TIMEOUT_IN_THE_CLEAR = 1000
{% endif %}

-- What Doorward says of the caller; always all of it, so that nothing of a client's own is left.
local IDENTITY = {
{% for name in identity %}
    "{{ name }}",
{% endfor %}
}

-- The question is about the request, not about its body, its connection or a copy of an answer.
local WITHHELD = {
    ["host"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["connection"] = true,
    ["keep-alive"] = true, ["x-forwarded-method"] = true, ["x-forwarded-uri"] = true,
{% for name in conditional %}
    ["{{ name | lower }}"] = true,
{% endfor %}
}
local TOLD = { "WWW-Authenticate", "Retry-After", "RateLimit", "RateLimit-Policy", "Cache-Control", "Content-Type",
    "X-Request-ID" }

local function asked(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not WITHHELD[name] then
            headers[name] = {}
            for index = 0, #values do
                headers[name][index + 1] = values[index]
            end
        end
    end
    headers["host"] = { "localhost" }
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-uri"] = { txn.sf:url() }
{% if wanted.secret %}
    headers["x-check-secret"] = { "{{ wanted.secret }}" }
{% endif %}
    return headers
end

local function first(answer, name)
    local values = answer.headers and answer.headers[name:lower()]
    return values and values[0]
end

local function refuse(txn, answer)
    local reply = txn:reply({ status = answer.status })
    for _, name in ipairs(TOLD) do
        local value = first(answer, name)
        if value then
            reply:add_header(name, value)
        end
    end
    if answer.body and txn.sf:method() ~= "HEAD" then
        reply:set_body(answer.body)
    end
    txn:done(reply)
end

-- All of it or nothing: a field that finds no room in the buffer is left out without a word.
local function tell(txn, answer)
    for _, name in ipairs(IDENTITY) do
        local value = first(answer, name)
        txn.http:req_del_header(name)
        if value and value ~= "" then
            txn.http:req_set_header(name, value)
        end
    end
    local headers = txn.http:req_get_headers()
    for _, name in ipairs(IDENTITY) do
        local value, set = first(answer, name), headers[name:lower()]
        if value and value ~= "" and not (set and set[0] == value) then
            return false
        end
    end
    return true
end

core.register_action("doorward_check", { "http-req" }, function(txn)
    local answer = core.httpclient():get({ url = URL .. "forward", dst = SOCKET, headers = asked(txn), timeout = TIMEOUT })
    -- Only an answer that says so itself opens; a status of 200 alone may be anybody's.
    if answer.status == 200 and first(answer, "X-Auth-Status") == "200" then
        if tell(txn, answer) then
            txn:set_var("txn.doorward_allowed", true)
        end
    elseif answer.status >= 400 and answer.status < 500 then
        refuse(txn, answer)
    end
end)
{% if wanted.plaintext %}

-- What it answers is not even looked at: the frontend has one answer.
core.register_action("doorward_plaintext", { "http-req" }, function(txn)
    local url, headers = URL .. "plaintext", asked(txn)
    core.httpclient():get({ url = url, dst = SOCKET, headers = headers, timeout = TIMEOUT_IN_THE_CLEAR })
end)
{% endif %}
