"""Published language models: a catalogue of families, and their networks in stock classes."""

from unmask.models.families.catalogue import CATALOGUE
from unmask.models.families.family import Family
from unmask.models.families.files import Files
from unmask.models.families.opening import open_pretrained, parameters
from unmask.models.families.recognition import Found, recognise

__all__ = ["CATALOGUE", "Family", "Files", "Found", "open_pretrained", "parameters", "recognise"]
