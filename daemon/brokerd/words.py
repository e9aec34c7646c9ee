"""Words for people: what was probably meant."""

import difflib
from collections.abc import Iterable

NAMED_MAX = 30
"""Words that a sentence lists: every event and method, not every symbol."""

CUTOFF = 0.6
"""How like a known word must be to be offered: "FILLED" is not "CANCELLED" (0.53)."""


def suggest(word: str | None, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or which there are: 'did you mean "limit"?'."""
    spelt = {one.lower(): one for one in sorted(known)}
    near = difflib.get_close_matches((word or "").lower(), spelt, n=1, cutoff=CUTOFF)
    if near:
        return f'did you mean "{spelt[near[0]]}"?'
    names = list(spelt.values())
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return f"known are {', '.join(names[:NAMED_MAX]) or 'none'}{more}"
