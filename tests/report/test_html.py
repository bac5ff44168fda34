import base64
import hashlib
import json
import re
from pathlib import Path

from runs import Page

from thermosearch.report.figures.drawing import RASTER_COLOUR, RASTER_GREY
from thermosearch.report.figures.nested import POINT_COLOURS
from thermosearch.report.html import Markup, Section, element, join, json_script, page, resource

HOSTILE = """</script></style><script>alert(1)</script><img src=x onerror="alert(2)">'&"""


def test_children_and_attributes_are_escaped() -> None:
    made = element("p", HOSTILE, title=HOSTILE)
    assert "<script" not in made
    assert "<img" not in made
    assert made.count('"') == 2
    assert element("p", element("b", "<")) == "<p><b>&lt;</b></p>"
    assert join(["<", Markup("<br>")], None) == "&lt;<br>"


def test_attributes_that_are_off_or_bare() -> None:
    assert element("input", type="checkbox", checked=True, disabled=False, id=None) == (
        '<input type="checkbox" checked>'
    )
    assert element("p", aria_label="a", class_="b") == '<p aria-label="a" class="b"></p>'


def test_data_block_cannot_be_left() -> None:
    block = json_script("data", {"label": HOSTILE, "separator": "\u2028"})
    inside = re.fullmatch(r"<script[^>]*>(.*)</script>", block, flags=re.DOTALL)[1]
    assert "<" not in inside
    assert "\u2028" not in inside
    assert json.loads(inside) == {"label": HOSTILE, "separator": "\u2028"}


def test_page_stands_whatever_it_is_given(tmp_path: Path) -> None:
    section = Section("one", HOSTILE, element("p", HOSTILE))
    path = tmp_path / "page.html"
    path.write_text(page(HOSTILE, element("h1", HOSTILE), [section], "let a = 1;"))
    read = Page(path)
    assert [script.text for script in read.root.all("script")] == ["let a = 1;"]
    assert read.root.all("img") == []
    assert read.by_id("one").all("p")[0].text == HOSTILE
    assert read.root.all("title")[0].text == HOSTILE


def test_policy_allows_our_script_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page("t", element("h1", "t"), [], "let a = 1;"))
    policies = [
        each.attributes["content"]
        for each in Page(path).root.all("meta")
        if each.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = base64.b64encode(hashlib.sha256(b"let a = 1;").digest()).decode()
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert f"script-src 'sha256-{digest}'" in policies[0]


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of the Web Content Accessibility Guidelines 2.1."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_in_light_dark_and_print() -> None:
    themes = re.findall(r":root \{(.*?)\}", resource("report.css"), flags=re.DOTALL)
    assert len(themes) == 3
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", themes[0]))
    dark = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", themes[1]))
    paper = {"page": "#ffffff", "surface": "#ffffff"} | dict(
        re.findall(r"--(series-\d): (#[0-9a-f]{6})", themes[2])
    )
    for theme in (light, dark):
        for text in ("ink", "muted", "accent"):
            assert min(contrast(theme[text], theme[on]) for on in ("page", "surface")) >= 4.5
        assert contrast(theme["ink"], theme["warn-surface"]) >= 4.5
    for theme in (light, dark, paper):
        lines = [theme[f"series-{number}"] for number in range(1, 7)]
        assert min(contrast(each, theme["surface"]) for each in lines) >= 3.0
        for colour in (RASTER_COLOUR, RASTER_GREY, *POINT_COLOURS):
            assert contrast(colour, theme["surface"]) >= 3.0
