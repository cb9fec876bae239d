"""Text in, text out: `TextModel`, what it returns, and `convert` of left-to-right models."""

from unmask.core.calls import check_calls
from unmask.text.converting import convert
from unmask.text.encoding import ByteEncoding, Encoding, TokenizerEncoding
from unmask.text.model import TextModel
from unmask.text.results import Completion, Filling
from unmask.text.streaming import TextState

__all__ = [
    "ByteEncoding",
    "Completion",
    "Encoding",
    "Filling",
    "TextModel",
    "TextState",
    "TokenizerEncoding",
    "convert",
]

check_calls(__name__)
