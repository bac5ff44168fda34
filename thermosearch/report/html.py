"""The page: elements that escape whatever they are given, and the skeleton they stand in."""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeAlias

VOID = frozenset({"meta", "input", "br", "img", "wbr"})


class Markup(str):
    """Text that is HTML already. Every other string is escaped on its way into an element."""

    __slots__ = ()


Content: TypeAlias = str | Iterable["Content"] | None


@dataclass(frozen=True)
class Section:
    """One titled part of the report.

    Attributes
    ----------
    identifier : str
        Anchor of the section, unique on the page.
    title : str
        Heading, plain text.
    body : Markup
        What stands under the heading.
    """

    identifier: str
    title: str
    body: Markup


def page(title: str, header: Markup, sections: Sequence[Section], script: str = "") -> str:
    """Complete HTML document without a single reference outside itself.

    The content security policy forbids the network, and every script but `script`, so that
    text from a run folder stays text even if an escape were forgotten.

    Parameters
    ----------
    title : str
        Title of the window, plain text.
    header : Markup
        What stands above the sections.
    sections : sequence of Section
        In order of appearance.
    script : str
        Our own JavaScript, run once the page has been read.
    """
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(resource("report.css"))),
    )
    links = [element("a", each.title, href=f"#{each.identifier}") for each in sections]
    body = element(
        "body",
        element("a", "Skip to the results", class_="skip", href="#content"),
        element("header", header),
        element("nav", links, aria_label="Sections"),
        element("main", [_section(each) for each in sections], id="content"),
        element("script", Markup(script)) if script else None,
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def element(tag: str, *children: Content, **attributes: str | float | bool | None) -> Markup:
    """One HTML element; children and attribute values are escaped unless they are `Markup`.

    Parameters
    ----------
    tag : str
        Name of the element.
    *children : str, Markup, iterable of those, or None
        None gives nothing.
    **attributes : str, number, bool or None
        `class_` and `aria_label` stand for `class` and `aria-label`; None and False leave the
        attribute out, True gives it without a value.
    """
    opening = tag + "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(*children)}</{tag}>")


def join(*children: Content) -> Markup:
    """Contents one after the other, each escaped unless it is `Markup`."""
    return Markup("".join(_escape(child) for child in children))


def json_script(identifier: str, data: Any) -> Markup:
    """Make a data block a script can read; no text in it can end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return element("script", Markup(text), type="application/json", id=identifier)


def note(text: str) -> Markup:
    """Sentence that says what is missing."""
    return element("p", text, class_="note")


def resource(name: str) -> str:
    """Text of a style sheet or script that ships beside this module."""
    return files("thermosearch.report").joinpath(name).read_text(encoding="utf-8")


def _section(section: Section) -> Markup:
    heading = f"{section.identifier}-heading"
    return element(
        "section",
        element("h2", section.title, id=heading),
        section.body,
        id=section.identifier,
        aria_labelledby=heading,
    )


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


def _escape(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return html.escape(content)
    return join(*content)


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = ("default-src 'none'", "style-src 'unsafe-inline'", "img-src data:")
    return "; ".join([*rules, f"script-src 'sha256-{digest}'"])
