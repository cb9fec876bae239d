"""Streams as a client reads them."""

import json


def events(response):
    """The name and the object of each event; [DONE] as None at the end."""
    found, name = [], None
    for line in response.iter_lines():
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data = line[5:].strip()
            found.append((name, None if data == "[DONE]" else json.loads(data)))
            name = None
    return found


def streamed(http, path="/v1/completions", **body):
    """The events of a stream, without the [DONE] that must be their last."""
    with http.stream("POST", path, json={"stream": True, **body}) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        found = events(response)
    assert found[-1] == (None, None)
    return found[:-1]
