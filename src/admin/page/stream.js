// Events of weir as they come, over `fetch`: an EventSource cannot send a token.

const PATIENCE = 5000; // weir sends something each second
const SHORTEST = 500; // between two tries
const LONGEST = 5000;

/**
 * Asks for events for ever. `token()` is sent with each question, `heard(name, data)` gets each event. Of all else `told`
 * is told: `live()`, `lost(words)` (null when nobody answered), and `denied()`, which resolves once there is another token.
 */
export async function follow(path, token, heard, told) {
  let pause = SHORTEST;
  for (;;) {
    const end = await listen(path, token(), (event) => {
      pause = SHORTEST;
      told.live();
      heard(event.name, event.data);
    });
    if (end.status === 401) {
      await told.denied();
      continue;
    }
    told.lost(end.words);
    await new Promise((go) => setTimeout(go, pause));
    pause = Math.min(pause * 2, LONGEST);
  }
}

/** Hears one answer to its end; gives its status, and its words when it is none of events. */
async function listen(path, token, each) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), PATIENCE);
  try {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(path, { headers, signal: stop.signal, cache: "no-store" });
    if (!answer.ok) return { status: answer.status, words: await words(answer) };
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), PATIENCE);
      const parts = (held + value).split("\n\n");
      held = parts.pop();
      for (const event of parts.map(parse)) if (event) each(event);
    }
  } catch (fault) {
    // An end of the connection is an ordinary thing; a fault of the page is not to be mistaken for one.
    if (!(fault instanceof TypeError && /fetch|network/i.test(fault.message)) && fault.name !== "AbortError") console.error(fault);
  } finally {
    clearTimeout(timer);
    // What is left of the answer is not waited for, or it would keep one of the few places.
    stop.abort();
  }
  return { status: null, words: null };
}

/** What weir says is wrong, in the form of its API. */
async function words(answer) {
  const { error, help } = await answer.json().catch(() => ({}));
  return [error ?? `weir answered ${answer.status}`, help].filter(Boolean).join(": ");
}

function parse(text) {
  let name = "message";
  const data = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
}
