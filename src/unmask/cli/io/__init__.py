"""Input and output of commands: models, data, canvases, settings, and files of results."""
