// The live page: what the events say, and draining by a click.

import { Rates } from "./rates.js";
import { follow } from "./stream.js";
import { ServiceView, duration, make, put, reason, state } from "./view.js";

const CHANGES = 50;
const byId = (id) => document.getElementById(id);
const services = new Map(); // name → { view, rates, endpoints: Map }
const facts = {};
let token = sessionStorage.getItem("weir-token");

function fact(name, text) {
  if (!facts[name]) {
    facts[name] = make("dd");
    byId("facts").append(make("div", {}, make("dt", {}, name), facts[name]));
  }
  put(facts[name], text);
}

function heard(name, event) {
  const whole = name === "whole";
  fact("version", event.version);
  fact("revision", `${event.revision}`);
  fact("up", duration(event.uptime_seconds));
  const ready = byId("ready");
  put(ready, event.readiness.state.replace("_", " "));
  ready.className = `badge ${{ ready: "good", degraded: "warn" }[event.readiness.state] ?? "bad"}`;
  byId("detail").hidden = !event.readiness.text;
  put(byId("detail"), event.readiness.text.trim());
  const place = byId("services");
  const names = new Set(event.services.map((service) => service.name));
  for (const [name, gone] of services) {
    if (!names.has(name)) {
      gone.view.element.remove();
      services.delete(name);
    }
  }
  if (whole) for (const quiet of place.querySelectorAll(":scope > .quiet")) quiet.remove();
  const traffic = new Map(event.traffic.map((traffic) => [traffic.service, traffic]));
  for (const service of event.services) {
    const gone = event.gone.filter((gone) => gone.service === service.name).map((gone) => gone.address);
    show(place, { ...service, gone, traffic: traffic.get(service.name) }, event.now_unix_seconds, whole);
  }
  const { pending, reloads: all } = event.configuration;
  byId("pending").hidden = pending.length === 0;
  put(byId("pending"), `Waits for a restart:\n${pending.join("\n")}`);
  reloads(all);
  filter();
}

function show(place, service, at, whole) {
  let known = services.get(service.name);
  if (!known) {
    known = { view: new ServiceView(service.name, act), rates: new Rates(), endpoints: new Map() };
    services.set(service.name, known);
    place.append(known.view.element);
  }
  const { view, rates, endpoints } = known;
  const gone = whole
    ? view.addresses().filter((address) => !service.endpoints.some((endpoint) => endpoint.address === address))
    : service.gone;
  for (const address of gone) {
    view.remove(address);
    endpoints.delete(address);
    changed(`${service.name} ${address} has left`);
  }
  for (const endpoint of service.endpoints) {
    const before = endpoints.get(endpoint.address);
    endpoints.set(endpoint.address, endpoint);
    view.row(endpoint);
    const [, word] = state(endpoint);
    if (before && state(before)[1] !== word) {
      const why = word === "ejected" ? reason(endpoint) : "";
      changed(`${service.name} ${endpoint.address} is ${word}${why ? `: ${why}` : ""}`);
    } else if (!before && !whole) {
      changed(`${service.name} ${endpoint.address} has joined`);
    }
  }
  rates.add(at, service.traffic);
  view.figures(service, rates, endpoints);
}

function changed(text) {
  const list = byId("changes");
  for (const quiet of list.querySelectorAll(".quiet")) quiet.remove();
  list.prepend(make("li", {}, make("time", {}, new Date().toLocaleTimeString()), text));
  while (list.children.length > CHANGES) list.lastElementChild.remove();
}

function reloads(all) {
  const list = byId("reloads");
  // The newest says whether there is another one: nothing is touched while someone may be reading.
  const newest = `${all[0]?.at_unix_seconds}`;
  if (all.length === 0 || list.dataset.newest === newest) return;
  list.dataset.newest = newest;
  const items = all.map((reload) => {
    const colour = reload.result === "rejected" ? "bad" : "good";
    const time = make("time", {}, new Date(reload.at_unix_seconds * 1000).toLocaleTimeString());
    const lines = [...reload.changes, ...(reload.problems ? [reload.problems.trim()] : [])];
    const about = lines.length ? `\n${lines.join("\n")}` : "";
    return make("li", {}, time, make("span", { class: colour }, reload.result), ` (${reload.trigger})${about}`);
  });
  list.replaceChildren(...items);
}

function filter() {
  const text = byId("filter").value.trim().toLowerCase();
  for (const { view } of services.values()) view.filter(text);
}

async function act(service, address, verb) {
  const dialog = byId("confirm");
  put(byId("confirm-title"), `${verb === "drain" ? "Drain" : "Undrain"} ${address}?`);
  const text = verb === "drain"
    ? `It finishes what it has and gets nothing new, until someone undrains it. A reload changes nothing about that.`
    : `It gets exchanges again.`;
  put(byId("confirm-text"), text);
  put(dialog.querySelector(".strong"), verb === "drain" ? "Drain" : "Undrain");
  if ((await asked(dialog)) !== "yes") return;
  const path = `/api/services/${encodeURIComponent(service)}/endpoints/${encodeURIComponent(address)}/${verb}`;
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const message = byId("message");
  message.hidden = true;
  try {
    const answer = await fetch(path, { method: "POST", headers, body: "{}" });
    if (answer.ok) return;
    const told = await answer.json().catch(() => ({}));
    if (answer.status === 401 && (await askToken())) return act(service, address, verb);
    put(message, `${told.error ?? answer.status}${told.help ? `\n${told.help}` : ""}`);
  } catch {
    put(message, "weir does not answer; nothing was changed as far as this page knows.");
  }
  message.hidden = false;
  setTimeout(() => (message.hidden = true), 8000);
}

/** What the dialog was closed with. */
function asked(dialog) {
  return new Promise((done) => {
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => done(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

async function askToken() {
  const dialog = byId("token");
  if (dialog.open) return false;
  byId("token-input").value = "";
  if ((await asked(dialog)) !== "yes") return false;
  token = byId("token-input").value.trim();
  sessionStorage.setItem("weir-token", token);
  return true;
}

byId("filter").addEventListener("input", filter);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    byId("filter").focus();
  }
});

follow("/api/events", () => token, heard, async (now) => {
  if (now === "token" && !(await askToken())) await new Promise((go) => setTimeout(go, 3000));
  if (now === "lost") {
    put(byId("ready"), "no connection");
    byId("ready").className = "badge bad";
  }
});
