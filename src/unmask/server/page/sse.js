// Server-sent events of a response, as the HTML standard defines them.

/** Yield {event, data} of each event of a stream of bytes. Comments (keep-alives) are passed over. */
export async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let found = { event: "message", data: [] };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line !== "") take(found, line);
        else {
          if (found.data.length) yield { event: found.event, data: found.data.join("\n") };
          found = { event: "message", data: [] };
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function take(found, line) {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "event") found.event = value;
  if (name === "data") found.data.push(value);
}
