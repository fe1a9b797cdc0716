// The live page: what the events say, in its places.

import { act, askToken, given } from "./dialogs.js";
import { Known } from "./state.js";
import { follow } from "./stream.js";
import { ServiceView, duration, make, put, set } from "./view.js";

const CHANGES = 50;
const byId = (id) => document.getElementById(id);
const known = new Known();
const views = new Map(); // name → view
const facts = {};

function fact(name, text) {
  if (!facts[name]) {
    facts[name] = make("dd");
    byId("facts").append(make("div", {}, make("dt", {}, name), facts[name]));
  }
  put(facts[name], text);
}

function heard(name, event) {
  const { news, touched, gone } = known.hear(name, event);
  const { version, revision, uptime_seconds: up, now_unix_seconds: now, readiness, configuration } = known.facts;
  fact("version", version);
  fact("revision", `${revision}`);
  fact("up", duration(up));
  badge(readiness.state.replace("_", " "), { ready: "good", degraded: "warn" }[readiness.state] ?? "bad");
  byId("detail").hidden = !readiness.text;
  put(byId("detail"), readiness.text.trim());
  for (const [service, address] of gone) leave(service, address);
  for (const quiet of byId("services").querySelectorAll(":scope > .quiet")) quiet.remove();
  for (const [service, address] of touched) view(service).row(known.services.get(service).endpoints.get(address));
  for (const [service, { facts, rates, endpoints }] of known.services) {
    rates.add(now, facts.traffic);
    view(service).figures(facts, rates, endpoints);
  }
  changed(news);
  byId("pending").hidden = configuration.pending.length === 0;
  put(byId("pending"), `Waits for a restart:\n${configuration.pending.join("\n")}`);
  reloads(configuration.reloads);
  filter();
}

function view(service) {
  if (!views.has(service)) {
    views.set(service, new ServiceView(service, act));
    byId("services").append(views.get(service).element);
  }
  return views.get(service);
}

function leave(service, address) {
  if (address !== null) return views.get(service)?.remove(address);
  const { element } = views.get(service);
  const focused = element.contains(document.activeElement);
  element.remove();
  views.delete(service);
  if (focused) byId("services").focus();
}

function badge(text, colour) {
  put(byId("ready"), text);
  set(byId("ready"), "class", `badge ${colour}`);
}

/** Adds to the changes; of many at once the last. */
function changed(news) {
  if (news.length === 0) return;
  const list = byId("changes");
  for (const quiet of list.querySelectorAll(".quiet")) quiet.remove();
  const time = new Date().toLocaleTimeString();
  const shown = news.slice(-CHANGES).map((text) => make("li", {}, make("time", {}, time), text));
  const more = news.length - shown.length;
  if (more > 0) shown[0] = make("li", {}, make("time", {}, time), `and ${more + 1} more at the same time`);
  list.prepend(...shown.reverse());
  while (list.children.length > CHANGES) list.lastElementChild.remove();
}

function reloads(all) {
  const list = byId("reloads");
  // The newest says whether there is another one: nothing is touched while someone may be reading.
  const newest = `${all[0]?.at_unix_seconds}`;
  if (list.dataset.newest === newest) return;
  list.dataset.newest = newest;
  const items = all.map((reload) => {
    const colour = reload.result === "rejected" ? "bad" : "good";
    const time = make("time", {}, new Date(reload.at_unix_seconds * 1000).toLocaleTimeString());
    const lines = [...reload.changes, ...(reload.problems ? [reload.problems.trim()] : [])];
    const about = lines.length ? `\n${lines.join("\n")}` : "";
    return make("li", {}, time, make("span", { class: colour }, reload.result), ` (${reload.trigger})${about}`);
  });
  list.replaceChildren(...(items.length ? items : [make("li", { class: "quiet" }, "none")]));
}

function filter() {
  const text = byId("filter").value.trim().toLowerCase();
  let shown = 0;
  for (const view of views.values()) shown += view.filter(text);
  return shown;
}

/** Says how the page itself is, or nothing while all is well. */
function say(text, colour) {
  put(byId("state-text"), text);
  set(byId("state"), "class", colour);
  byId("state").hidden = text === "";
}

byId("filter").addEventListener("input", () => {
  const shown = filter();
  // Only when someone types: what comes and goes by itself is not read out.
  put(byId("found"), byId("filter").value.trim() ? `${shown} found` : "");
});
addEventListener("keydown", (event) => {
  const writes = event.target.closest?.("input, textarea, dialog");
  if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    byId("filter").focus();
  }
});

follow("/api/events", given, heard, {
  live() {
    say("", "");
    byId("give-token").hidden = true;
  },
  lost(words) {
    badge(words === null ? "no connection" : "refused", "bad");
    const old = known.facts.now_unix_seconds;
    const since = old ? ` What is shown is of ${new Date(old * 1000).toLocaleTimeString()}.` : "";
    say(`${words ?? "weir does not answer"}. The page tries again by itself, every few seconds.${since}`, "bad");
  },
  async denied() {
    if (await askToken()) return;
    badge("token needed", "bad");
    say("This weir shows itself to those who have its token.", "bad");
    const button = byId("give-token");
    button.hidden = false;
    button.focus();
    do {
      await new Promise((go) => button.addEventListener("click", go, { once: true }));
    } while (!(await askToken()));
  },
});
