// Presets of a model, and fields for their options.

import { make } from "./dom.js";

const ELSEWHERE = new Set(["steps"]); // has a field of its own

/** Return the preset of a name. */
export const presetOf = (model, name) => model.unmask.presets.find((each) => each.name === name);

/** Return the recommended preset's name and options, or the first one's. */
export function recommended(model) {
  const { preset, presets } = model.unmask;
  const { name, ...options } = preset ?? { name: presets[0].name };
  return { name, options: options.options ?? options };
}

/** Return the number of steps to begin with: the recommended one, or the preset's own; or null. */
export function stepsOf(model, name) {
  const best = recommended(model);
  const own = presetOf(model, name)?.options ?? {};
  if (!("steps" in own)) return null;
  return (best.name === name ? best.options.steps : null) ?? own.steps;
}

/** Fill a place with a field for each option that is a number, a truth or a word. */
export function showOptions(place, model, name) {
  const own = presetOf(model, name)?.options ?? {};
  const best = recommended(model);
  const shown = Object.entries(own).filter(([key, value]) => !ELSEWHERE.has(key) && typeof value !== "object" || value === null);
  place.replaceChildren(...shown.map(([key, value]) => {
    const chosen = (best.name === name ? best.options[key] : undefined) ?? value;
    const id = `option-${key}`;
    const truth = typeof value === "boolean";
    const field = truth
      ? make("input", { id, type: "checkbox", checked: chosen })
      : make("input", { id, type: "text", value: chosen ?? "", placeholder: "none", autocomplete: "off", spellcheck: "false" });
    Object.assign(field.dataset, { key, usual: JSON.stringify(value) });
    return make("div", { class: truth ? "field truth" : "field" }, make("label", { for: id }, key.replaceAll("_", " ")), field);
  }));
  return shown.length;
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
  return Number.isNaN(Number(text)) ? text : Number(text);
}
