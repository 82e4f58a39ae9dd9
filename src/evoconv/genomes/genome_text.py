"""The text of genomes: JSON that may come from anywhere."""

import json

from evoconv.errors import ConfigError

MAX_JSON_CHARACTERS = 1_000_000


def read_genome_text(text: str) -> object:
    """Return what the JSON holds; ``ConfigError`` if it is too long or no JSON."""
    if len(text) > MAX_JSON_CHARACTERS:
        raise ConfigError(
            f"a genome has at most {MAX_JSON_CHARACTERS:,} characters, got {len(text):,}"
        )
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"a genome must be JSON: {error}") from None
    return content
