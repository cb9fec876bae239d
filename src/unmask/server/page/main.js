// The page: models of this server, and what they generate, step by step.

import { models } from "./api.js";
import { BoardView } from "./board-view.js";
import { Canvas } from "./canvas.js";
import { showCard } from "./card.js";
import { byId, chips } from "./dom.js";
import { PROMPTS } from "./examples.js";
import { chosenPresets, offerSeed, readForm, showCompare, showForm, showPreset, showTokens } from "./form.js";
import { ImageView } from "./image-view.js";
import { hasKey, keepKey } from "./key.js";
import { Lane } from "./lane.js";
import { titleOf } from "./presets.js";
import { showProblem } from "./problem.js";
import { requestOf } from "./request.js";
import { isSudoku } from "./rules.js";
import { showSnippets } from "./snippets.js";
import { TextView } from "./text-view.js";
import { showTools } from "./tools.js";
import { Transport } from "./transport.js";

const [ask, run, result, key, status] = ["ask", "run", "result", "key", "status"].map(byId);
const UNITS = { text: "tokens", ids: "ids", image: "pixels", board: "cells" };
const state = { model: null, canvas: null, lanes: [], stop: null };

const transport = new Transport((position, colouring, settled) => {
  for (const lane of state.lanes) lane.show(position, colouring, settled);
});

/** Show the models, or ask for the key that the server wants. */
async function start() {
  try {
    offer(await models());
    key.hidden = true;
    showProblem(null);
  } catch (error) {
    showProblem(error, start);
  }
}

/** Offer models. The one that is shown stays as it is, unless it is another now. */
function offer(found) {
  const wanted = wantedModel();
  const named = (name) => found.find(({ id }) => id === name);
  const chosen = named(wanted) ?? named(state.model?.id) ?? found[0];
  chips(byId("models"), "model", found.map(({ id }) => [id, id]), chosen.id,
    (id) => choose(named(id)));
  byId("api").hidden = hasKey(); // a link cannot carry it
  byId("prompt").value ||= PROMPTS[0][1];
  ask.hidden = false;
  const [before, after] = [state.model, chosen].map((each) => JSON.stringify([each?.id, each?.unmask]));
  if (before === after) setAddress(chosen);
  else choose(chosen);
}

/** Return the model that the address names. */
function wantedModel() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

const setAddress = (model) => history.replaceState(null, "", `#${encodeURIComponent(model.id)}`);

function choose(model) {
  Object.assign(state, { model, canvas: null });
  setAddress(model);
  const { kind, layout } = model.unmask;
  if (kind === "image" || kind === "board") state.canvas = new Canvas(layout);
  document.body.className = state.canvas ? "grid-kind" : "";
  transport.player.reset();
  transport.offer(kind);
  showForm(model);
  makeLanes();
  showProblem(null);
}

/** Make a lane for each preset that is asked for, and show what is to be filled. */
function makeLanes() {
  showCard(null);
  const lanes = chosenPresets().map((name) => {
    const lane = new Lane(makeView(), UNITS[state.model.unmask.kind]);
    lane.title.textContent = titleOf(name);
    return lane;
  });
  byId("lanes").replaceChildren(...lanes.map((lane) => lane.element));
  clear();
  state.lanes = lanes;
  showTools(state.model, state.canvas, lanes[0].view, clear);
}

function makeView() {
  const { kind, layout } = state.model.unmask;
  const shared = { layout, canvas: state.canvas, label: state.model.id, onedit: clear };
  if (kind === "image") return new ImageView(shared);
  if (kind === "board") return new BoardView(shared);
  const onchoose = (element, cell) => showCard(element, cell, Math.max(...state.lanes.map((lane) => lane.total)));
  return new TextView({ label: "Tokens. Arrow keys move between them.", bare: kind === "ids", onchoose });
}

/** Stop what runs, and show what is to be filled: a grid as it was edited, or an empty place for text. */
function clear() {
  state.stop?.abort();
  state.stop = null;
  for (const lane of state.lanes) lane.clear();
  lock(false);
  result.hidden = !state.canvas;
  result.classList.add("idle");
  nameButton();
}

function lock(locked) {
  for (const lane of state.lanes) lane.view.locked = locked;
}

function nameButton() {
  const { kind, layout } = state.model.unmask;
  const { canvas } = state;
  run.classList.toggle("stop", Boolean(state.stop));
  if (state.stop) run.textContent = "Stop";
  else if (kind === "board") run.textContent = isSudoku(layout) ? "Solve" : "Fill in";
  else if (kind !== "image") run.textContent = "Unmask";
  else if (canvas.unknown === canvas.values.length) run.textContent = "Draw";
  else run.textContent = canvas.unknown ? `Refill ${canvas.unknown} pixels` : "Draw another";
}

async function generate() {
  const { model, canvas } = state;
  showProblem(null);
  if (canvas && model.unmask.kind === "image" && canvas.unknown === 0) canvas.clear();
  const wanted = readForm(model, canvas?.grid ?? null);
  const requests = wanted.map((each) => requestOf(model, each));
  const stop = (state.stop = new AbortController());
  showRun(wanted[0], requests);
  const reach = () => state.stop === stop && transport.player.reach(Math.max(...state.lanes.map((lane) => lane.total)));
  const prompt = continues(requests[0]) ? wanted[0].prompt : "";
  try {
    await Promise.all(state.lanes.map((lane, i) => lane.run(requests[i], prompt, stop.signal, reach)));
  } catch (error) {
    if (state.stop === stop) showProblem(error, start);
    stop.abort();
  }
  if (state.stop === stop) finish();
}

const continues = ({ path }) => path === "/v1/completions";

/** Show that requests run. wanted: the first of what is asked for. */
function showRun({ seed, steps }, requests) {
  offerSeed(seed);
  lock(true);
  result.hidden = false;
  result.classList.remove("idle");
  transport.player.reset(steps ?? 0);
  status.textContent = "Unmasking";
  byId("request").hidden = false;
  showSnippets(requests, hasKey(), (text) => (status.textContent = text));
  nameButton();
}

function finish() {
  if (!state.lanes.some((lane) => lane.recording)) return clear();
  state.stop = null;
  lock(false);
  const { recording } = state.lanes[0];
  if (recording && state.model.unmask.kind === "image") {
    state.canvas.put(recording.last.slice(state.model.unmask.layout.offset).map((cell) => cell.token));
  }
  transport.player.finish();
  if (recording?.response) status.textContent = state.lanes.map((lane) => lane.summary).join(" ");
  nameButton();
}

key.addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey(byId("key-field").value);
  showProblem(null);
  start();
});
ask.addEventListener("submit", (event) => {
  event.preventDefault();
  if (state.stop) state.stop.abort();
  else generate().catch(showProblem);
});
byId("preset").addEventListener("change", () => (showPreset(state.model), makeLanes()));
byId("rival").addEventListener("change", makeLanes);
byId("compare").addEventListener("change", () => (showCompare(), makeLanes()));
byId("prompt").addEventListener("input", () => showTokens(state.model));
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask.requestSubmit();
});
document.addEventListener("keydown", (event) => event.key === "Escape" && state.stop?.abort());
addEventListener("hashchange", start);
start();
