"""The simplest genome: a text. Nothing of it is read from JSON but that."""

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class TextGenome:
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps({"text": self.text})


def text_genome(text: str) -> TextGenome:
    """Return the genome in canonical JSON; raises all sorts of things on other text."""
    value = json.loads(text)["text"]
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value}")
    return TextGenome(value)
