// From counters that only grow to rates and quantiles of the last seconds.

const KEPT = 120;
const OVER = 5; // samples a rate is taken over

/** The samples of one service. */
export class Rates {
  #samples = [];
  rate = [];
  latency = [];

  /** `traffic`: `{ requests, errors, seconds: [[upper bound, count so far], …] }`, all since weir's start. */
  add(at, traffic) {
    this.#samples.push({ at, ...traffic });
    if (this.#samples.length > OVER + 1) this.#samples.shift();
    push(this.rate, this.now().requests);
    push(this.latency, this.now().p99);
  }

  /** Requests and errors per second, and the median and 99th percentile in seconds or null, of the last seconds. */
  now() {
    const last = this.#samples.at(-1);
    const first = this.#samples[0];
    const time = last ? last.at - first.at : 0;
    if (!(time > 0) || last.requests < first.requests) return { requests: 0, errors: 0, p50: null, p99: null };
    const counts = last.seconds.map(([bound, count], index) => [bound, count - (first.seconds[index]?.[1] ?? 0)]);
    return {
      requests: (last.requests - first.requests) / time,
      errors: (last.errors - first.errors) / time,
      p50: quantile(counts, 0.5),
      p99: quantile(counts, 0.99),
    };
  }
}

/** Within cumulative buckets, by straight lines, as Prometheus' histogram_quantile does. */
export function quantile(buckets, share) {
  const all = buckets.at(-1)?.[1] ?? 0;
  if (all === 0) return null;
  const rank = share * all;
  let below = 0;
  let from = 0;
  for (const [bound, count] of buckets) {
    if (count >= rank) {
      if (bound === null) return from;
      return from + (bound - from) * ((rank - below) / (count - below));
    }
    below = count;
    from = bound;
  }
  return from;
}

function push(list, value) {
  list.push(value);
  if (list.length > KEPT) list.shift();
}

/** The `d` of an SVG path, 100 wide and 20 high, newest at the right. */
export function line(values) {
  const top = Math.max(...values.map((value) => value ?? 0), 1e-9);
  let d = "";
  let open = false;
  values.forEach((value, index) => {
    if (value === null) {
      open = false;
      return;
    }
    const x = 100 - ((values.length - 1 - index) * 100) / (KEPT - 1);
    d += `${open ? "L" : "M"}${x.toFixed(1)} ${(20 - (18 * value) / top).toFixed(1)}`;
    open = true;
  });
  return d;
}
