-- wrk's script: posts the content of a file, with a pause between the requests of a connection when one is given (in
-- milliseconds, on average), and prints what it measured as JSON. After `--`: file, pause.
local pause = 0

function init(arguments)
    local file = assert(io.open(arguments[1], "rb"))
    wrk.method = "POST"
    wrk.body = file:read("*a")
    wrk.headers["Content-Type"] = "application/json"
    file:close()
    pause = tonumber(arguments[2])
    math.randomseed(os.time())
    if pause == 0 then
        delay = nil
    end
end

function delay()
    return math.floor(2 * pause * math.random() + 0.5)
end

function done(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    local form = '{"requests": %d, "seconds": %.6f, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n'
    io.write(string.format(form, summary.requests, summary.duration / 1e6, failed,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
