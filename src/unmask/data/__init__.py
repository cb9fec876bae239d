"""Reading of token ids and text from files: `read` returns a `Corpus` of lazy `Example`s."""

from unmask.core.calls import check_calls
from unmask.data.corpus import Corpus, Example
from unmask.data.reading import read
from unmask.data.vocabulary import Vocabulary

__all__ = ["Corpus", "Example", "Vocabulary", "read"]

check_calls(__name__)
