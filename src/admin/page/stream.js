// Events of weir as they come, over `fetch`: an EventSource cannot send a token.

const PATIENCE = 5000; // weir sends something each second

/** Calls `heard(name, data)` for each event and `state("live" | "lost" | "token")`, for ever. */
export async function follow(path, token, heard, state) {
  for (let pause = 500; ; pause = Math.min(pause * 2, 5000)) {
    const stop = new AbortController();
    let timer = setTimeout(() => stop.abort(), PATIENCE);
    try {
      const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
      const answer = await fetch(path, { headers, signal: stop.signal, cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) {
        clearTimeout(timer);
        await state("token");
        continue;
      }
      if (!answer.ok) throw new Error(`${answer.status}`);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let held = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), PATIENCE);
        held += value;
        const parts = held.split("\n\n");
        held = parts.pop();
        for (const part of parts) {
          const event = parse(part);
          if (event) heard(event.name, event.data);
        }
        state("live");
        pause = 500;
      }
    } catch {
      // Tried again below.
    }
    clearTimeout(timer);
    state("lost");
    await new Promise((go) => setTimeout(go, pause));
  }
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
