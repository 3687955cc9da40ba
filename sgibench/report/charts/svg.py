"""matplotlib's SVG, made fit to stand inside a page: themed by CSS classes, small, and allowed by a strict policy.

A Content-Security-Policy without 'unsafe-inline' blocks every `style` attribute, so each one becomes presentation
attributes; colours that stand for an ink become classes, so that one drawing serves light, dark and print. Elements
with a tip get a `<title>`, which browsers show on hover without any script.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

from sgibench.errors import plain
from sgibench.later import Later

if TYPE_CHECKING:
    import matplotlib.figure
else:
    matplotlib = Later("matplotlib")

NAMESPACE = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
INKS = {"#5e1000": "ink", "#5e1001": "soft", "#5e1002": "line", "#5e1003": "card", "#5e1004": "warn"}
INK, SOFT, LINE, CARD, WARN = INKS
"""Placeholder colours; what they really are is up to `style.css`."""
_COLOUR = re.compile(r"#5e00([0-9a-f]{2})")
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_GAPS = re.compile(r"\s*([A-Za-z])\s*|\s+")
_SIZE = re.compile(r"([\d.]+)px")
_KEPT = {
    "stroke-width", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "opacity",
    "fill-opacity", "stroke-opacity", "text-anchor", "fill-rule",
}  # fmt: skip


def server_colour(index: int) -> str:
    """Give the placeholder for a server's colour."""
    return f"#5e00{index:02x}"


def to_markup(
    figure: matplotlib.figure.Figure, *, prefix: str, label: str, tips: Mapping[str, tuple[str, str]]
) -> Markup:
    """Write a figure as an `<svg>` element.

    Ids start with `prefix`; `label` is the text alternative; `tips` gives, by gid, what a part says when it is
    pointed at and the key of the table row that it belongs to.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sgibench"}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of glyphs that its font lacks: the reader's browser has others
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(plain(buffer.getvalue().decode()))  # noqa: S314 - matplotlib wrote it a line above
    box = root.get("viewBox", "")
    _prune(root)
    used = {use for element in root.iter() for use in _references(element) if use}
    for element in root.iter():
        element.tag = element.tag.removeprefix(NAMESPACE)
        _attributes(element, prefix, used, tips)
    _flatten(root)
    root.attrib = {"viewBox": box, "role": "img", "aria-label": label, "class": "plot"}
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree escaped it


def _references(element: ET.Element) -> list[str]:
    """Ids that an element points to."""
    return [element.get(LINK, "").lstrip("#"), *re.findall(r"url\(#([^)]+)\)", element.get("clip-path", ""))]


def _flatten(parent: ET.Element) -> None:
    """Take out groups that say nothing: the page has fewer nodes, and fewer bytes."""
    flat: list[ET.Element] = []
    for child in parent:
        _flatten(child)
        if child.tag == "g" and not child.attrib:
            flat.extend(child)
        else:
            flat.append(child)
    parent[:] = flat


def _prune(parent: ET.Element) -> None:
    """Drop metadata, style sheets, empty groups and comments."""
    for child in list(parent):
        tag = child.tag.removeprefix(NAMESPACE) if isinstance(child.tag, str) else "comment"
        if tag in {"metadata", "style", "comment"}:
            parent.remove(child)
            continue
        _prune(child)
        child.tail = None
        if tag in {"g", "defs"} and len(child) == 0:
            parent.remove(child)
    if parent.text and not parent.text.strip():
        parent.text = None


def _attributes(element: ET.Element, prefix: str, used: set[str], tips: Mapping[str, tuple[str, str]]) -> None:
    """Replace an element's attributes by those that the page allows."""
    given = dict(element.attrib)
    element.attrib.clear()
    classes = _style(element, given.pop("style", ""))
    name = given.pop("id", "")
    if name in tips:
        tip, row = tips[name]
        title = ET.Element("title")
        title.text = tip
        element.insert(0, title)
        element.set("data-row", row)
        classes.append("mark")
    elif name in used:
        element.set("id", prefix + name)
    for key, value in given.items():
        if key == LINK:
            element.set("href", "#" + prefix + value.lstrip("#"))
        elif key == "clip-path":
            element.set(key, value.replace("url(#", f"url(#{prefix}"))
        elif not key.startswith("{") and not value.startswith("rotate(-0 "):
            shorter = _NUMBER.sub(_short, value)
            element.set(key, _GAPS.sub(_tight, shorter).strip() if key == "d" else shorter)
    if classes:
        element.set("class", " ".join(classes))


def _short(match: re.Match[str]) -> str:
    """Two digits behind the point are a fiftieth of a pixel."""
    return f"{float(match[0]):.1f}".removesuffix(".0")


def _tight(match: re.Match[str]) -> str:
    """SVG needs no space around a letter."""
    return match[1] or " "


def _style(element: ET.Element, style: str) -> list[str]:
    """Turn a style into attributes; returns the classes that stand for its colours."""
    rules = {name.strip(): value.strip() for name, _, value in (rule.partition(":") for rule in style.split(";"))}
    classes = []
    for name, value in rules.items():
        if name in {"fill", "stroke"}:
            known = INKS.get(value) or (f"c{int(found[1], 16)}" if (found := _COLOUR.fullmatch(value)) else None)
            if known:
                classes.append(f"{name[0]}-{known}")
            else:
                element.set(name, value)
        elif name in {"font", "font-size"}:
            size = _SIZE.search(value)
            if size:
                element.set("font-size", f"{float(size[1]):g}")
            if "bold" in value or " 700 " in f" {value} ":
                element.set("font-weight", "600")
        elif name in _KEPT:
            element.set(name, value)
    return classes
