// A request as a command and as a program, to be copied.

import { byId, make } from "./dom.js";
import { titleOf } from "./presets.js";

/** Return what sends a request from a shell. */
function curl({ path, body }, origin, keyed) {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  const key = keyed ? `  -H "Authorization: Bearer $UNMASK_API_KEY" \\\n` : "";
  return `curl -N ${origin}${path} \\\n${key}  -H 'Content-Type: application/json' \\\n  -d '${json}'`;
}

/** Return a program that sends a request and prints its events; it needs nothing but Python. */
function python({ path, body }, origin, keyed) {
  const key = keyed ? `    "Authorization": "Bearer " + os.environ["UNMASK_API_KEY"],\n` : "";
  return `import json
${keyed ? "import os\n" : ""}import urllib.request

body = ${literal(body)}
headers = {
    "Content-Type": "application/json",
${key}}
request = urllib.request.Request("${origin}${path}", json.dumps(body).encode(), headers)
with urllib.request.urlopen(request) as events:
    for line in events:
        if line.startswith(b"data: {"):
            print(json.loads(line[6:]))`;
}

/** Return a value as Python writes it. */
export function literal(value, indent = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  if (Array.isArray(value)) {
    if (value.every((each) => typeof each !== "object" || each === null)) {
      return `[${value.map((each) => literal(each)).join(", ")}]`;
    }
    return `[\n${value.map((each) => `${inner}${literal(each, inner)},\n`).join("")}${indent}]`;
  }
  const lines = Object.entries(value).map(([key, each]) => `${inner}${JSON.stringify(key)}: ${literal(each, inner)},\n`);
  return `{\n${lines.join("")}${indent}}`;
}

/** Show requests, and buttons that copy them. tell: says what was done. */
export function showSnippets(requests, keyed, tell) {
  const snippets = requests.flatMap((request) => {
    const preset = requests.length > 1 ? ` (${titleOf(request.body.preset ?? "")})` : "";
    return [
      { title: `curl${preset}`, text: curl(request, location.origin, keyed) },
      { title: `Python${preset}`, text: python(request, location.origin, keyed) },
    ];
  });
  byId("snippets").replaceChildren(...snippets.map(({ text, title }) => make("figure", { class: "snippet" },
    make("figcaption", {}, title), make("pre", { tabindex: "0", "aria-label": title }, make("code", {}, text)))));
  byId("copies").replaceChildren(...snippets.map(({ text, title }, i) => {
    const button = make("button", { type: "button", class: "plain", onclick: () => copy(text, button, i, tell) },
      `Copy as ${title}`);
    return button;
  }));
}

async function copy(text, button, i, tell) {
  try {
    await navigator.clipboard.writeText(text);
    tell("Copied");
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1600);
  } catch {
    tell("The browser does not let this page copy: the text is selected instead");
    byId("request").querySelector("details").open = true;
    getSelection().selectAllChildren(byId("snippets").querySelectorAll("pre")[i]);
  }
}
