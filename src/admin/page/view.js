// What is shown: rows that are made once and touched only where something changed.

import { line } from "./rates.js";

const STATES = {
  healthy: ["good", "healthy"],
  unproven: ["warn", "unproven"],
  trial: ["warn", "on trial"],
  trial_due: ["bad", "ejected, trial due"],
  ejected: ["bad", "ejected"],
};

/** An element with these attributes and children. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Sets a text only where it is another one: no layout for what stays. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute only where it is another one: setting it to what it is counts as a change, too. */
export function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** `1.2 ms`, `350 ms`, `2.1 s`, `3 min`, `5 h`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** The colour of an endpoint's state, and the state in a word. */
export function state(endpoint) {
  if (endpoint.drained) return ["warn", "drained"];
  return STATES[endpoint.state] ?? ["warn", endpoint.state];
}

/** What its newest failure was. */
export function reason(endpoint) {
  const [newest] = endpoint.failures;
  return newest ? `${newest.by}: ${newest.text || newest.reason}` : "";
}

/** One service: its figures and its table. `act(service, address, verb)` is called by the buttons. */
export class ServiceView {
  #rows = new Map();
  #facts = {};

  constructor(name, act) {
    this.name = name;
    this.act = act;
    this.count = make("span", { class: "badge" });
    this.all = make("span", { class: "badge bad", hidden: "" });
    this.list = make("dl");
    this.rate = figure("requests");
    this.latency = figure("p99");
    this.body = make("tbody", { role: "rowgroup" });
    const head = make("tr", { role: "row" });
    for (const [text, number] of [["Endpoint"], ["State"], ["In flight", 1], ["Weight", 1], ["Latency", 1], ["Why, and since when"], [""]]) {
      const column = { role: "columnheader", scope: "col" };
      head.append(make("th", number ? { ...column, class: "number" } : column, text));
    }
    this.title = make("h2", { tabindex: "-1" }, name);
    const header = make("header", {}, this.title, this.count, this.all, this.list, this.rate.element, this.latency.element);
    const label = { role: "table", "aria-label": `Endpoints of ${name}` };
    const table = make("table", label, make("thead", { role: "rowgroup" }, head), this.body);
    this.element = make("section", { class: "service", "aria-label": `Service ${name}` }, header, table);
  }

  fact(name, text) {
    if (!this.#facts[name]) {
      this.#facts[name] = make("dd");
      this.list.append(make("div", {}, make("dt", {}, name), this.#facts[name]));
    }
    put(this.#facts[name], text);
    const line = this.#facts[name].parentElement;
    if (line.hidden !== (text === "")) line.hidden = text === "";
  }

  /** Brings the figures up to date. `service` as in the events, `rates` of it. */
  figures(service, rates, endpoints) {
    const states = [...endpoints.values()];
    const good = states.filter((endpoint) => endpoint.state === "healthy" && !endpoint.drained).length;
    put(this.count, `${good} of ${states.length} serve`);
    set(this.count, "class", `badge ${good === states.length ? "good" : good ? "warn" : "bad"}`);
    if (this.all.hidden === service.all_ejected) this.all.hidden = !service.all_ejected;
    put(this.all, `all ejected: ${service.when_all_ejected}`);
    const now = rates.now();
    this.fact("policy", service.policy);
    this.fact("in flight", `${states.reduce((sum, endpoint) => sum + endpoint.in_flight, 0)}`);
    this.fact("waiting", service.queue ? `${service.queue.waiting}` : "");
    this.fact("requests", `${now.requests.toFixed(1)}/s`);
    this.fact("5xx", now.errors > 0 ? `${now.errors.toFixed(1)}/s` : "");
    this.fact("p50", duration(now.p50));
    this.fact("p99", duration(now.p99));
    set(this.rate.path, "d", line(rates.rate));
    set(this.latency.path, "d", line(rates.latency));
  }

  /** Shows one endpoint. */
  row(endpoint) {
    let row = this.#rows.get(endpoint.address);
    if (!row) {
      row = this.#make(endpoint.address);
      this.#rows.set(endpoint.address, row);
      this.body.append(row.element);
    }
    const [colour, word] = state(endpoint);
    const changed = row.word !== undefined && row.word !== word;
    row.word = word;
    put(row.state, word);
    set(row.state, "class", `state ${colour}`);
    put(row.flight, endpoint.capacity ? `${endpoint.in_flight} / ${endpoint.capacity}` : `${endpoint.in_flight}`);
    const over = endpoint.override;
    put(row.weight, over && over.weight !== over.believed.weight ? `${over.weight} (was ${over.believed.weight})` : `${endpoint.weight}`);
    put(row.latency, endpoint.latency_seconds === null ? "" : duration(endpoint.latency_seconds));
    const parts = [];
    if (endpoint.tier !== "primary") parts.push(endpoint.tier);
    if ((endpoint.slow_start_percent ?? 100) < 100) parts.push(`slow start, ${endpoint.slow_start_percent} % of its share`);
    if (over) parts.push("set by an operator");
    if (endpoint.state !== "healthy") parts.push(reason(endpoint));
    if (endpoint.since_unix_seconds !== null) parts.push(`since ${new Date(endpoint.since_unix_seconds * 1000).toLocaleTimeString()}`);
    if (endpoint.source !== "configuration") parts.push(endpoint.source);
    put(row.why, parts.filter((part) => part !== "").join(" · "));
    row.verb = endpoint.drained ? "undrain" : "drain";
    put(row.button, endpoint.drained ? "Undrain" : "Drain");
    set(row.button, "aria-label", `${endpoint.drained ? "Undrain" : "Drain"} ${endpoint.address}`);
    row.text = `${this.name} ${endpoint.address} ${word} ${endpoint.tier}`.toLowerCase();
    if (changed) {
      row.element.classList.remove("flash");
      requestAnimationFrame(() => row.element.classList.add("flash"));
    }
  }

  /** Takes a row away; who had the focus on it gets it on the next one. */
  remove(address) {
    const element = this.#rows.get(address)?.element;
    if (!element) return;
    this.#rows.delete(address);
    const focused = element.contains(document.activeElement);
    const next = focused ? near(element, "nextElementSibling") ?? near(element, "previousElementSibling") : null;
    element.remove();
    if (focused) (next?.querySelector("button") ?? this.title).focus();
  }

  /** Hides what does not contain the text; gives how many rows do. */
  filter(text) {
    let shown = 0;
    for (const row of this.#rows.values()) {
      const found = text === "" || row.text.includes(text);
      // Not under the hands of who is on it.
      const hide = !found && !row.element.contains(document.activeElement);
      if (row.element.hidden !== hide) row.element.hidden = hide;
      shown += found ? 1 : 0;
    }
    const hide = text !== "" && shown === 0 && !this.name.toLowerCase().includes(text) && !this.element.contains(document.activeElement);
    if (this.element.hidden !== hide) this.element.hidden = hide;
    return shown;
  }

  #make(address) {
    const row = {
      state: make("span"),
      flight: cell({ class: "number", "data-label": "in flight" }),
      weight: cell({ class: "number", "data-label": "weight" }),
      latency: cell({ class: "number", "data-label": "latency" }),
      why: cell({ class: "why" }),
      button: make("button", { type: "button" }),
      text: "",
    };
    row.button.addEventListener("click", () => this.act(this.name, address, row.verb));
    const cells = [cell({}, address), cell({}, row.state), row.flight, row.weight, row.latency, row.why, cell({}, row.button)];
    row.element = make("tr", { role: "row" }, ...cells);
    return row;
  }
}

/** A cell; its role is said because of how rows are laid out. */
function cell(attributes, ...children) {
  return make("td", { role: "cell", ...attributes }, ...children);
}

/** The next row in this direction that can be seen. */
function near(row, direction) {
  let next = row[direction];
  while (next?.hidden) next = next[direction];
  return next;
}

function figure(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${name}, the last two minutes`);
  svg.append(path);
  return { element: make("figure", {}, make("figcaption", {}, name), svg), path };
}
