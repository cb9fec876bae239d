"""Random JSON schemas and regular expressions, and a naive validator of the schemas."""

import json
import re
from datetime import date


def random_regex(rng, depth=3, letters="abé"):
    """A regular expression that Python and Rust read alike."""
    if depth == 0 or rng.random() < 0.2:
        return rng.choice([*letters, "[ab]", "[^a]", f"{letters[0]}{letters[1]}", "[0-9]"])
    kind = rng.randrange(6)
    inner = random_regex(rng, depth - 1, letters)
    if kind == 0:
        return f"(?:{inner}|{random_regex(rng, depth - 1, letters)})"
    if kind == 1:
        return f"(?:{inner}){rng.choice(['*', '+', '?', '*?', '??', '{1,2}', '{2}'])}"
    if kind == 2:
        return f"({inner})"
    return inner + random_regex(rng, depth - 1, letters)


def random_schema(rng, depth=2):
    """A schema of small texts."""
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "pattern", "format"]
    kinds += ["object", "array", "anyOf", "types"] * 2 if depth else []
    kind = rng.choice(kinds)
    if kind == "string":
        return {"type": "string", "maxLength": rng.randint(1, 4), "minLength": rng.randint(0, 1)}
    if kind == "integer":
        low = rng.randint(-30, 30)
        return {"type": "integer", "minimum": low, "exclusiveMaximum": low + rng.randint(1, 300)}
    if kind == "enum":
        return {
            "enum": rng.sample(['a"b', "x.y", 1, -2.5, None, True, "é\n", [1, "a"], {"k": 0}], 3)
        }
    if kind == "pattern":
        return {"type": "string", "pattern": rng.choice(["^[a-c]{2,3}$", "x[0-9]?y", "(on|off)"])}
    if kind == "format":
        return {"type": "string", "format": rng.choice(["date", "uuid"])}
    if kind == "array":
        return {
            "type": "array",
            "items": random_schema(rng, depth - 1),
            "maxItems": rng.randint(1, 2),
            "minItems": rng.randint(0, 1),
        }
    if kind == "anyOf":
        return {"anyOf": [random_schema(rng, depth - 1) for _ in range(2)]}
    if kind == "types":
        return {"type": ["boolean", "null"], "title": "a note"}
    if kind == "object":
        names = rng.sample(["a", "bé", 'c"d', "e f"], rng.randint(1, 3))
        return {
            "type": "object",
            "properties": {name: random_schema(rng, depth - 1) for name in names},
            "required": rng.sample(names, rng.randint(0, len(names))),
        }
    return {"type": kind}


def is_valid(value, schema):
    """Whether a value has a schema of the kinds above, word by word of the specification."""
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}

    def has(kind):
        if kind in ("integer", "number"):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and (kind == "number" or value == int(value))
        return isinstance(value, kinds[kind])

    types = schema.get("type")
    if types is not None and not any(map(has, [types] if isinstance(types, str) else types)):
        return False
    if "enum" in schema and json.dumps(value) not in map(json.dumps, schema["enum"]):
        return False
    if "anyOf" in schema and not any(is_valid(value, each) for each in schema["anyOf"]):
        return False
    if isinstance(value, str):
        return _string(value, schema)
    if isinstance(value, list):
        fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return fits and all(is_valid(each, schema.get("items", {})) for each in value)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {*schema.get("required", [])} <= {*value} and all(
            is_valid(each, known[name]) for name, each in value.items() if name in known
        )
    if isinstance(value, int) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("exclusiveMaximum", value + 1)
        return low <= value < high
    return True


def _is_date(value):
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _string(value, schema):
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if schema.get("format") == "date":
        return value.startswith("0000-") or _is_date(value)
    if schema.get("format") == "uuid":
        return re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) is not None
    return True
