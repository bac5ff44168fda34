import base64
import hashlib
import json
import re
from pathlib import Path

from runs import Page

from thermosearch.report.html import Markup, Section, element, join, json_script, page

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
