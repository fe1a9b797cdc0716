// What is known of weir: events are laid over one another, and what people would want to hear is put into words.

import { Rates } from "./rates.js";
import { reason, state } from "./view.js";

/** What weir has told so far. */
export class Known {
  /** Keys of the status, without its services. */
  facts = {};
  /** Name → { facts, rates, endpoints: address → endpoint }. */
  services = new Map();

  /**
   * Lays an event over what is known. Gives `{ news, touched, gone }`: words, the endpoints that are another than before,
   * and those that have left, both as `[service, address]`; of a service that has left the address is null.
   */
  hear(name, event) {
    const found = { news: [], touched: [], gone: [] };
    const { services = [], gone = [], ...facts } = event;
    const whole = name === "whole";
    const started = this.facts.started_unix_seconds ?? facts.started_unix_seconds;
    const anew = whole && facts.started_unix_seconds !== started;
    this.facts = whole ? facts : { ...this.facts, ...facts };
    if (anew) found.news.push("weir has been started anew");
    const left = whole ? this.#missing(services) : gone.map((it) => [it.service, it.address]);
    for (const [service, address] of left) {
      if (address === null) this.services.delete(service);
      else this.services.get(service)?.endpoints.delete(address);
      found.gone.push([service, address]);
      found.news.push(address === null ? `service ${service} has left` : `${service} ${address} has left`);
    }
    for (const { endpoints = [], ...facts } of services) {
      const { name } = facts;
      const known = this.services.get(name) ?? { facts: {}, rates: new Rates(), endpoints: new Map() };
      const isNew = !this.services.has(name);
      this.services.set(name, known);
      known.facts = { ...known.facts, ...facts };
      if (anew) known.rates = new Rates();
      for (const part of endpoints) {
        const before = known.endpoints.get(part.address);
        const endpoint = whole ? part : { ...before, ...part };
        known.endpoints.set(part.address, endpoint);
        found.touched.push([name, part.address]);
        // What an earlier process said of it is no news of this one.
        const words = anew || (whole && isNew) ? null : said(before, endpoint, whole);
        if (words) found.news.push(`${name} ${part.address} ${words}`);
      }
    }
    return found;
  }

  /** What was known and is not among these. */
  #missing(services) {
    const left = [];
    for (const [name, { endpoints }] of this.services) {
      const now = services.find((service) => service.name === name);
      const there = new Set(now?.endpoints.map((endpoint) => endpoint.address));
      if (!now) left.push([name, null]);
      else for (const address of endpoints.keys()) if (!there.has(address)) left.push([name, address]);
    }
    return left;
  }
}

// Two clocks are read anew for each answer: moments of one event differ by less than this from those of another.
const SAME = 0.5;

/** What is new about an endpoint, in words; null if nothing that people would want to hear. */
function said(before, now, whole) {
  if (!before) return "has joined";
  const [was, is] = [state(before)[1], state(now)[1]];
  const why = (words, endpoint) => (reason(endpoint) ? `${words}: ${reason(endpoint)}` : words);
  if (was !== is) return is === "ejected" ? why("is ejected", now) : `is ${is}`;
  const turned = now.since_unix_seconds - before.since_unix_seconds > (whole ? SAME : 0);
  if (!turned) return null;
  // Between two looks: there and back again.
  return is === "healthy" ? `was ${why("ejected", now)}; it is healthy again` : why(`was restored, and is ${is} again`, now);
}
