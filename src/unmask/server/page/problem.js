// What went wrong, in the server's words.

import { Refusal } from "./api.js";
import { byId } from "./dom.js";

const AGAIN = 1000; // milliseconds until a server that was away is asked again
const [problem, status, key] = ["problem", "status", "key"].map(byId);
let timer = null;

/** Show an error, or none for null. again(): called after a while where the server was only away. */
export function showProblem(error, again = null) {
  clearTimeout(timer);
  const stopped = error?.name === "AbortError";
  const words = error && !stopped ? error.message : "";
  if (problem.textContent !== words) problem.textContent = words; // so that it is read aloud once
  problem.hidden = words === "";
  if (stopped) status.textContent = "Stopped";
  if (error?.code === "invalid_api_key") {
    key.hidden = false;
    byId("key-field").focus();
  } else if (error?.isPassing) timer = setTimeout(again, AGAIN);
  else if (words && !(error instanceof Refusal)) console.error(error);
}
