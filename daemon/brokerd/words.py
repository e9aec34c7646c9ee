"""Words for people: what was probably meant."""

import difflib
from collections.abc import Iterable


def suggest(word: str | None, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or which there are: 'did you mean "limit"?'."""
    spelt = {one.lower(): one for one in sorted(known)}
    near = difflib.get_close_matches((word or "").lower(), spelt, n=1, cutoff=0.5)
    if near:
        return f'did you mean "{spelt[near[0]]}"?'
    return f"known are {', '.join(list(spelt.values())[:20]) or 'none'}"
