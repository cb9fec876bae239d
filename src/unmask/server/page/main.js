// The page: models of this server, and what they generate, step by step.

import { models, Refusal } from "./api.js";
import { BoardView } from "./board-view.js";
import { Canvas } from "./canvas.js";
import { look } from "./card.js";
import { byId, chips } from "./dom.js";
import { asked, showCompare, showDrawn, showForm, showPreset, showTokens } from "./form.js";
import { ImageView } from "./image-view.js";
import { hasKey, keepKey } from "./key.js";
import { Lane } from "./lane.js";
import { requestOf } from "./request.js";
import { isSudoku } from "./rules.js";
import { showSnippets } from "./snippets.js";
import { TextView } from "./text-view.js";
import { showTools } from "./tools.js";
import { Transport } from "./transport.js";
import { PROMPTS } from "./examples.js";

const [ask, run, result, key, problem, status] = ["ask", "run", "result", "key", "problem", "status"].map(byId);
const LOADING = 503; // the answer of a server whose models are not there yet
const UNITS = { text: "tokens", ids: "ids", image: "pixels", board: "cells" };
const now = { model: null, canvas: null, lanes: [], stop: null };

const transport = new Transport((position, colouring, settled) => {
  for (const lane of now.lanes) lane.show(position, colouring, settled);
});

/** Show the models, or ask for the key that the server wants. */
async function begin() {
  try {
    const found = await models();
    key.hidden = true;
    tell(null);
    const wanted = decodeURIComponent(location.hash.slice(1));
    const first = found.find((model) => model.id === wanted) ?? found[0];
    chips(byId("models"), "model", found.map((each) => [each.id, each.id]), first.id,
      (id) => choose(found.find((each) => each.id === id)));
    byId("prompt").value ||= PROMPTS[0][1];
    ask.hidden = false;
    choose(first);
  } catch (error) {
    tell(error);
    if (error.status === LOADING) setTimeout(begin, 1000);
  }
}

function choose(model) {
  Object.assign(now, { model, canvas: null });
  history.replaceState(null, "", `#${encodeURIComponent(model.id)}`);
  const { kind, layout } = model.unmask;
  if (kind === "image" || kind === "board") now.canvas = new Canvas(layout);
  document.body.className = now.canvas ? "grid-kind" : "";
  transport.player.reset();
  transport.offer(kind);
  showForm(model);
  arrange();
  tell(null);
}

/** Make a lane for each preset that is asked for, and show what is to be filled. */
function arrange() {
  now.stop?.abort();
  now.stop = null;
  now.lanes = asked(now.model, null).map(({ preset }) => {
    const lane = new Lane(view(), UNITS[now.model.unmask.kind]);
    lane.idle(preset);
    return lane;
  });
  byId("lanes").replaceChildren(...now.lanes.map((lane) => lane.element));
  showTools(now.model, now.canvas, now.lanes[0].view, edited);
  edited();
}

function view() {
  const { kind, layout } = now.model.unmask;
  const shared = { layout, canvas: now.canvas, label: now.model.id, onedit: edited };
  if (kind === "image") return new ImageView(shared);
  if (kind === "board") return new BoardView(shared);
  const onlook = (element, cell) => look(element, cell, Math.max(...now.lanes.map((lane) => lane.total)));
  return new TextView({ label: "Tokens. Arrow keys move between them.", bare: kind === "ids", onlook });
}

/** Show a grid that was edited, or an empty place for text. */
function edited() {
  for (const lane of now.lanes) lane.idle(lane.title.textContent);
  result.hidden = !now.canvas;
  result.classList.add("idle");
  label();
}

function label() {
  const { kind, layout } = now.model.unmask;
  const { canvas } = now;
  run.classList.toggle("stop", Boolean(now.stop));
  if (now.stop) run.textContent = "Stop";
  else if (kind === "board") run.textContent = isSudoku(layout) ? "Solve" : "Fill in";
  else if (kind !== "image") run.textContent = "Unmask";
  else if (canvas.unknown === canvas.values.length) run.textContent = "Draw";
  else run.textContent = canvas.unknown ? `Refill ${canvas.unknown} pixels` : "Draw another";
}

async function generate() {
  const { model, canvas } = now;
  tell(null);
  if (canvas && model.unmask.kind === "image" && canvas.unknown === 0) canvas.clear();
  const wants = asked(model, canvas?.grid ?? null);
  const requests = wants.map((each) => requestOf(model, each));
  const stop = (now.stop = new AbortController());
  showDrawn(wants[0].seed);
  for (const lane of now.lanes) {
    lane.idle(lane.title.textContent);
    lane.view.locked = true;
  }
  result.hidden = false;
  result.classList.remove("idle");
  transport.player.reset(wants[0].steps ?? 0);
  status.textContent = "Unmasking";
  byId("request").hidden = false;
  showSnippets(requests, hasKey(), (text) => (status.textContent = text));
  label();
  const reach = () => now.stop === stop && transport.player.reach(Math.max(...now.lanes.map((lane) => lane.total)));
  const prompt = continues(requests[0]) ? wants[0].prompt : "";
  try {
    await Promise.all(now.lanes.map((lane, i) => lane.run(requests[i], prompt, stop.signal, reach)));
  } catch (error) {
    stop.abort();
    if (now.stop === stop) tell(error);
  }
  if (now.stop === stop) finish();
}

const continues = ({ path }) => path === "/v1/completions";

function finish() {
  now.stop = null;
  for (const lane of now.lanes) lane.view.locked = false;
  const [first] = now.lanes;
  if (!now.lanes.some((lane) => lane.recording)) return edited();
  if (first.recording && now.model.unmask.kind === "image") {
    const { offset } = now.model.unmask.layout;
    now.canvas.put(first.recording.last.slice(offset).map((cell) => cell.token));
  }
  transport.player.finish();
  if (first.recording?.response) status.textContent = now.lanes.map((lane) => lane.spoken()).join(". ");
  label();
}

/** Tell what went wrong, in the server's words; null: nothing. */
function tell(error) {
  const stopped = error?.name === "AbortError";
  problem.hidden = !error || stopped;
  problem.textContent = problem.hidden ? "" : error.message;
  if (stopped) status.textContent = "Stopped";
  if (error instanceof Refusal && error.status === 401) {
    key.hidden = false;
    byId("key-field").focus();
  } else if (error && !stopped && !(error instanceof Refusal)) console.error(error);
}

key.addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey(byId("key-field").value);
  tell(null);
  begin();
});
ask.addEventListener("submit", (event) => {
  event.preventDefault();
  if (now.stop) now.stop.abort();
  else generate();
});
byId("preset").addEventListener("change", () => (showPreset(now.model), arrange()));
byId("rival").addEventListener("change", arrange);
byId("compare").addEventListener("change", () => (showCompare(), arrange()));
byId("prompt").addEventListener("input", () => showTokens(now.model));
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask.requestSubmit();
});
document.addEventListener("keydown", (event) => event.key === "Escape" && now.stop?.abort());
addEventListener("hashchange", begin);
begin();
