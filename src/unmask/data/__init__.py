"""Reading token ids and text from files: `read` gives a Corpus of lazy Examples."""

from unmask.data.corpus import Corpus, Example
from unmask.data.reading import read
from unmask.data.vocabulary import Vocabulary

__all__ = ["Corpus", "Example", "Vocabulary", "read"]
