// Calls to the server.

import { events } from "./sse.js";
import { authorization } from "./key.js";

const PASSING = new Set(["loading", "shutting_down", "unreachable"]);

/** An error of the server, by its message and code, or that it cannot be reached. */
export class Refusal extends Error {
  constructor({ message, code }) {
    super(message);
    this.code = code;
  }

  /** Whether the server may answer later. */
  get isPassing() {
    return PASSING.has(this.code);
  }
}

/** Return the models that are served, the default first. */
export async function models() {
  const response = await call("/v1/models", { headers: authorization() });
  return (await response.json()).data;
}

/** Yield the events of a request that denoises: start, step and end. */
export async function* denoise({ path, body }, signal) {
  const headers = { "Content-Type": "application/json", ...authorization() };
  const response = await call(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  let ended = false;
  try {
    for await (const { data } of events(response.body)) {
      signal?.throwIfAborted();
      if (data === "[DONE]") break;
      const event = JSON.parse(data);
      if (event.error) throw new Refusal(event.error);
      ended ||= event.type === "end";
      yield event;
    }
  } catch (error) {
    if (error instanceof Refusal || error.name === "AbortError") throw error;
    throw broken();
  }
  if (!ended) throw broken();
}

const broken = () => new Refusal({ message: "The server's answer broke off before its end.", code: "broken" });

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ message: "The server does not answer. Is it running?", code: "unreachable" });
  }
  if (response.ok) return response;
  const text = await response.text();
  throw new Refusal(errorIn(text) ?? { message: `${response.status} ${response.statusText}`, code: null });
}

/** Return the error of a body, null where it has none: an answer of a proxy, perhaps. */
function errorIn(text) {
  try {
    return JSON.parse(text).error ?? null;
  } catch {
    return null;
  }
}
