"""What the commands read and write: models, data, canvases, settings, and files of results."""
