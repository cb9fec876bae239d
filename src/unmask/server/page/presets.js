// Presets of a model, and fields for their options.

import { make } from "./dom.js";

const ELSEWHERE = new Set(["steps"]); // has a field of its own
const OWN = ""; // of a request that names no preset, so that the model's own strategy is used

/** Return the name of a preset as it is shown. */
export const titleOf = (name) => (name === OWN ? "the model's own" : name);

/** Return the preset of a name, with no options where there is none. */
export const presetOf = (model, name) =>
  model.unmask.presets.find((each) => each.name === name) ?? { name, options: {} };

/** Return the recommended preset's name and options; the model's own strategy where it is no preset. */
export function recommended(model) {
  const { preset, presets } = model.unmask;
  if (!presets.some(({ name }) => name === preset?.name)) return { name: OWN, options: {} };
  const { name, ...options } = preset;
  return { name, options };
}

/** Return a preset's options, with those that are recommended in place of its own. */
function optionsOf(model, name) {
  const best = recommended(model);
  return { ...presetOf(model, name).options, ...(best.name === name ? best.options : {}) };
}

/** Return the number of steps to begin with, null where the preset takes none. */
export const stepsOf = (model, name) => optionsOf(model, name).steps ?? null;

/** Fill a place with a field for each option that is a number, a truth or a word; return how many. */
export function showOptions(place, model, name) {
  const usual = presetOf(model, name).options;
  const chosen = optionsOf(model, name);
  const shown = Object.entries(usual).filter(([key, value]) => !ELSEWHERE.has(key) && (typeof value !== "object" || value === null));
  place.replaceChildren(...shown.map(([key, value]) => fieldOf(key, value, chosen[key])));
  return shown.length;
}

function fieldOf(key, usual, chosen) {
  const id = `option-${key}`;
  const truth = typeof usual === "boolean";
  const field = truth
    ? make("input", { id, type: "checkbox", checked: chosen })
    : make("input", { id, type: "text", value: chosen ?? "", placeholder: "none", autocomplete: "off", spellcheck: "false" });
  Object.assign(field.dataset, { key, usual: JSON.stringify(usual) });
  return make("div", { class: truth ? "field truth" : "field" }, make("label", { for: id }, key.replaceAll("_", " ")), field);
}

/** Return the options that differ from the preset's own. */
export function optionsIn(place) {
  const found = {};
  for (const field of place.querySelectorAll("[data-key]")) {
    const usual = JSON.parse(field.dataset.usual);
    const value = field.type === "checkbox" ? field.checked : valueOf(field.value.trim(), usual);
    if (value !== usual) found[field.dataset.key] = value;
  }
  return found;
}

/** Return what was typed: a number where it is one, null where nothing is there. */
function valueOf(text, usual) {
  if (text === "") return typeof usual === "string" ? "" : null;
  return Number.isFinite(Number(text)) ? Number(text) : text;
}
