"""registrator's template functions as filters: its names and meanings, what is piped in stands first. Pure.

`httpGet` is not among them: rendering must not wait for a network. What a function cannot do raises `ValueError` with
the reason, where registrator would have ended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

# A pattern is the operator's and time cannot be limited from within: both sides of the comparison are kept small.
_PATTERN_MOST_CHARACTERS: Final = 256
_MATCHED_MOST_CHARACTERS: Final = 1024
_SLICE_BOUNDS: Final = (1, 2)


def _str_slice(text: object, *bounds: int) -> str:
    """Return the text from the first bound to the second; bounds beyond its end change nothing, as in registrator."""
    whole = str(text)
    if len(bounds) not in _SLICE_BOUNDS or min(bounds) < 0:
        raise ValueError("strSlice expects one or two numbers from 0 on")
    if max(bounds) > len(whole):
        return whole
    start, end = bounds[0], bounds[-1] if len(bounds) > 1 else len(whole)
    return whole[start : end if end >= start else len(whole)]


def _s_index(elements: Sequence[object], index: int) -> str:
    """Return one element, counted from the end if negative; beyond either end the last or the first one."""
    if not elements:
        raise ValueError("sIndex of an empty list")
    last = len(elements) - 1
    return str(elements[max(index, -len(elements)) if index < 0 else min(index, last)])


def _m_index(mapping: Mapping[str, object], key: str) -> str:
    """Return what a mapping holds under a key, or nothing."""
    return str(mapping.get(key, ""))


def _replace(text: object, *said: object) -> str:
    """Replace `(COUNT, OLD, NEW)` as registrator does, -1 for all, or `(OLD, NEW[, COUNT])` as Jinja2 does."""
    match said:
        case (int() as count, str() as old, str() as new) | (str() as old, str() as new, int() as count):
            return str(text).replace(old, new, count)
        case (str() as old, str() as new):
            return str(text).replace(old, new)
        case _:
            raise ValueError("replace expects (COUNT, OLD, NEW) or (OLD, NEW)")


def _split(text: object, separator: str) -> list[str]:
    """Split at each separator."""
    return str(text).split(separator)


def _split_index(text: object, index: int, separator: str) -> str:
    """Split, and return one element by the rules of `sIndex`."""
    return _s_index(_split(text, separator), index)


def _match_first(elements: Sequence[object], pattern: str) -> str:
    """Return the first element in which the pattern is found, or nothing."""
    return next(iter(_match_all(elements, pattern)), "")


def _match_all(elements: Sequence[object], pattern: str) -> list[str]:
    """Return the elements in which the pattern is found."""
    if len(pattern) > _PATTERN_MOST_CHARACTERS:
        message = f"the pattern is over {_PATTERN_MOST_CHARACTERS} characters long"
        raise ValueError(message)
    wanted = re.compile(pattern)
    return [one for one in map(str, elements) if wanted.search(one[:_MATCHED_MOST_CHARACTERS])]


def _json_parse(text: object, path: str) -> str:
    """Return what stands in a JSON document under keys joined by `::`; what is no text is given as JSON."""
    found: Any = json.loads(str(text))
    for key in path.split("::"):
        if not isinstance(found, dict) or key not in found:
            message = f"jsonParse finds no {key!r} of {path!r}"
            raise ValueError(message)
        found = found[key]
    return found if isinstance(found, str) else json.dumps(found)


# `join` is Jinja2's own, which means the same.
FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "strSlice": _str_slice,
    "sIndex": _s_index,
    "mIndex": _m_index,
    "toUpper": lambda text: str(text).upper(),
    "toLower": lambda text: str(text).lower(),
    "replace": _replace,
    "split": _split,
    "splitIndex": _split_index,
    "matchFirstElement": _match_first,
    "matchAllElements": _match_all,
    "jsonParse": _json_parse,
}
