// Elements of the document.

/** Return the element of an id. */
export const byId = (id) => document.getElementById(id);

/** Make an element. Attributes that are false or null are left out; "on..." are listeners. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Make a choice of one among few, as radio buttons that look like chips. */
export function chips(fieldset, name, entries, chosen, onchange) {
  const legend = fieldset.querySelector("legend");
  const made = entries.map(([value, label]) => {
    const input = make("input", { type: "radio", name, value, checked: value === chosen });
    input.addEventListener("change", () => onchange(value));
    return make("label", {}, input, make("span", {}, label));
  });
  fieldset.replaceChildren(...(legend ? [legend] : []), ...made);
}

/** Fill a select with [value, label] pairs. */
export function fillSelect(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, label]) => make("option", { value }, label)));
  select.value = chosen;
}

/** Fill a select with groups of [value, label] pairs, by their names. */
export function fillGroups(select, groups, chosen) {
  const made = Object.entries(groups).map(([label, entries]) =>
    make("optgroup", { label }, ...entries.map(([value, name]) => make("option", { value }, name))));
  select.replaceChildren(...made);
  select.value = chosen;
}
