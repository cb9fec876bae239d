"""Reading of token ids and text from files: `read` returns a `Corpus` of lazy `Example`s.

`read_fasta` and `write_fasta` are for sequences with headers.
"""

from unmask.core.calls import check_calls
from unmask.data.corpus import Corpus, Example
from unmask.data.fasta import FastaRecord, read_fasta, write_fasta
from unmask.data.reading import read
from unmask.data.vocabulary import Vocabulary

__all__ = ["Corpus", "Example", "FastaRecord", "Vocabulary", "read", "read_fasta", "write_fasta"]

check_calls(__name__)
