"""The laws of all presets: {preset: {variant: Case}}."""

from tests.laws import adaptive, canvases, growing, image, plain, revising, text, tracks

LAWS = (
    plain.LAWS
    | image.LAWS
    | text.LAWS
    | revising.LAWS
    | adaptive.LAWS
    | tracks.LAWS
    | canvases.LAWS
    | growing.LAWS
)
