// Calls to the server.

import { events } from "./sse.js";
import { authorization } from "./key.js";

/** What the server refused: its message, and the status of its answer. */
export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Return the models that are served, the default first. */
export async function models() {
  const response = await ask("/v1/models", { headers: authorization() });
  return (await response.json()).data;
}

/** Yield the events of a request that denoises: start, step and end. */
export async function* denoise({ path, body }, signal) {
  const headers = { "Content-Type": "application/json", ...authorization() };
  const response = await ask(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  let ended = false;
  for await (const { data } of events(response.body)) {
    if (data === "[DONE]") break;
    const found = JSON.parse(data);
    if (found.error) throw new Refusal(found.error.message, 200);
    ended ||= found.type === "end";
    yield found;
  }
  if (!ended) throw new Refusal("The server's answer broke off before its end.", 200);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server does not answer. Is it running?", 0);
  }
  if (response.ok) return response;
  const text = await response.text();
  throw new Refusal(messageOf(text) ?? `${response.status} ${response.statusText}`, response.status);
}

function messageOf(text) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return null;
  }
}
