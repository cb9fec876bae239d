"""The tables of the document are those of the installed transformers."""

import pytest
import transformers
from tests.adapters.document import BEGIN, DOCUMENT, END, tables


@pytest.mark.filterwarnings("ignore")
def test_its_tables_say_what_is_found():
    document = DOCUMENT.read_text(encoding="utf-8")
    said = document.split(BEGIN)[1].split(END)[0]
    if f"transformers {transformers.__version__}:" not in said:
        pytest.skip("the document is of another version of transformers")
    assert said == tables()
