"""Words for what is wrong in a study: path, value, what was expected, nearest valid name."""

import difflib
import json
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_LONGEST_VALUE = 60


def report_mistakes(
    error: ValidationError, model: type[BaseModel], content: dict[str, Any], source: str
) -> str:
    """One line a mistake, under a heading where there are several.

    Parameters
    ----------
    error : ValidationError
        pydantic's findings.
    model : type
        The model that was asked for.
    content : dict
        What was checked.
    source : str
        Name of the study.
    """
    found = error.errors()
    outer = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    # A list that is too short because its items are wrong is no mistake of its own.
    own = [item for item in found if item["type"] != "too_short" or item["loc"] not in outer]
    lines = list(dict.fromkeys(_line(item, model, content) for item in own))
    if len(lines) == 1:
        return f"{source}: {lines[0]}"
    return "\n".join([f"{source}: {len(lines)} mistakes", *(f"  {line}" for line in lines)])


def nearest(name: object, known: Iterable[str]) -> str:
    """Suggest the valid name nearest to `name`; nothing where none is near."""
    found = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f'; did you mean "{found[0]}"?' if found else ""


def _line(item: ErrorDetails, model: type[BaseModel], content: dict[str, Any]) -> str:
    location = list(_real_path(item["loc"], content, item["type"]))
    where = _dotted(location)
    if item["type"] == "extra_forbidden":
        valid = sorted(_valid_keys(model, item["loc"][:-1]))
        hint = nearest(location[-1], valid) or f"; valid here: {', '.join(valid)}"
        return f"{where} = {_shown(item['input'])}: unknown key{hint}"
    if item["type"] == "missing":
        return f"{where}: missing"
    expected = _expected(item)
    near = ""
    if item["type"] in {"literal_error", "enum", "union_tag_invalid"}:
        choices = str(item["ctx"].get("expected") or item["ctx"].get("expected_tags"))
        near = nearest(item["input"], re.findall(r"'([^']*)'", choices))
    if not where:
        return expected
    if isinstance(item["input"], dict | BaseModel):
        return f"{where}: {expected}"
    return f"{where} = {_shown(item['input'])}: {expected}{near}"


def _expected(item: ErrorDetails) -> str:
    """Pydantic's message in the words of this report."""
    message = item["msg"]
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    message = message.replace("Input should be ", "expected ").partition(", unable")[0]
    return message[:1].lower() + message[1:]


def _real_path(location: Sequence[int | str], content: Any, kind: str) -> Iterator[int | str]:
    """Drop what pydantic adds for unions: the parts that name no key of the content."""
    here = content
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(here, dict) and (part in here or (last and kind == "missing")):
            here = here.get(part)
            yield part
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
            yield part


def _valid_keys(model: type[BaseModel], location: Sequence[int | str]) -> set[str]:
    """Keys allowed in the section at `location`."""
    models = {model}
    for part in location:
        by_name = {
            found
            for candidate in models
            if part in candidate.model_fields
            for found in _models_in(candidate.model_fields[str(part)].annotation)
        }
        # A part that is no field is a union's choice or a list's index: stay.
        named = {candidate for candidate in models if candidate.__name__ == part}
        models = by_name or named or models
    return {key for candidate in models for key in candidate.model_fields}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    if get_origin(annotation) in {Union, types.UnionType, Annotated, list, tuple, dict}:
        return {found for part in get_args(annotation) for found in _models_in(part)}
    return set()


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."
