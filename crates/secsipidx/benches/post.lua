-- For wrk: POSTs what BODY holds, and prints what service.rs reads.
wrk.method = "POST"
wrk.body = os.getenv("BODY")

function done(summary, latency)
    local errors = summary.errors
    print(string.format("result %d %d %d %d %d", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
