-- The same photo again and again, over connections that stay:
--   wrk -t2 -c32 -d30s --latency -s deploy/load/wrk.lua http://127.0.0.1:8080 -- optimizer/photos/life.jpg
-- wrk waits for each answer before it asks again, so a slow weir is asked less: for latencies at a fixed rate take k6.js.


function init(args)
  local file = assert(io.open(args[1] or "optimizer/photos/life.jpg", "rb"))
  wrk.body = file:read("*a")
  file:close()
  wrk.method = "POST"
  wrk.path = "/optimize?text=weir&position=br"
  wrk.headers["Content-Type"] = "image/jpeg"
end

function done(summary, latency)
  io.write(string.format("answers other than 2xx and 3xx: %d of %d, p99 %.1f ms\n",
    summary.errors.status, summary.requests, latency:percentile(99) / 1000))
end
