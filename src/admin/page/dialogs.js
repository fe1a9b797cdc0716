// What people are asked, and what they are told when something went wrong.

import { put } from "./view.js";

const byId = (id) => document.getElementById(id);
let token = sessionStorage.getItem("weir-token");
let asking = null;

/** The token that was given, if one was. */
export const given = () => token;

/** What the dialog was closed with. */
function asked(dialog) {
  return new Promise((done) => {
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => done(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

/** Asks for a token; whether one was given. Whoever asks meanwhile gets the same answer. */
export function askToken() {
  asking ??= (async () => {
    byId("token-wrong").hidden = !token;
    byId("token-input").value = "";
    if ((await asked(byId("token"))) !== "yes") return false;
    token = byId("token-input").value.trim();
    sessionStorage.setItem("weir-token", token);
    return true;
  })().finally(() => (asking = null));
  return asking;
}

/** Drains or undrains an endpoint, once that was confirmed. */
export async function act(service, address, verb) {
  const drains = verb === "drain";
  const word = drains ? "Drain" : "Undrain";
  put(byId("confirm-title"), `${word} ${address}?`);
  const text = drains
    ? "It finishes what it has and gets nothing new, until someone undrains it. A reload changes nothing about that."
    : "It gets exchanges again.";
  put(byId("confirm-text"), text);
  put(byId("confirm").querySelector(".strong"), word);
  if ((await asked(byId("confirm"))) !== "yes") return;
  tell("");
  tell(await change(`/api/services/${encodeURIComponent(service)}/endpoints/${encodeURIComponent(address)}/${verb}`));
}

/** Carries out a change; gives what went wrong, or nothing. */
async function change(path) {
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    const answer = await fetch(path, { method: "POST", headers, body: "{}", signal: AbortSignal.timeout(10000) });
    if (answer.ok) return "";
    if (answer.status === 401 && (await askToken())) return change(path);
    const { error, help } = await answer.json().catch(() => ({}));
    return [error ?? `weir answered ${answer.status}`, help].filter(Boolean).join("\n");
  } catch {
    return "weir does not answer; nothing was changed as far as this page knows.";
  }
}

/** Says so until it is dismissed; nothing takes it away. */
function tell(text) {
  put(byId("message-text"), text);
  byId("message").hidden = text === "";
}

// No button of the form: Enter in the field would press the first of them.
byId("token-cancel").addEventListener("click", () => byId("token").close("no"));
byId("dismiss").addEventListener("click", () => {
  tell("");
  byId("services").focus();
});
