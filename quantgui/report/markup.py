"""HTML and SVG as nested calls in which text is always escaped: a tensor's name can never become markup."""

from __future__ import annotations

import html
import unicodedata


class Html(str):
    """Markup that is finished and goes in as it is: what `tag` and `join` made, or a constant of this room."""

    __slots__ = ()


def visible(text: object) -> str:
    """`text` with control, formatting and surrogate characters written as escapes.

    A name with a newline, a NUL or a right-to-left override is shown as what it is instead of rearranging the page.
    """
    return "".join(_visible(character) for character in str(text))


def _visible(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character


def escape(child: object) -> Html:
    """`child` as markup: finished markup as it is, None as nothing, anything else as escaped text."""
    if isinstance(child, Html):
        return child
    return Html("" if child is None else html.escape(visible(child), quote=True))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """`<name …>children</name>`. An attribute that is None or False is left out; `class_` becomes `class`.

    Underscores in attribute names become hyphens, as SVG writes them (`stroke_width`).
    """
    pairs = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    ]
    return Html(f"<{name}{''.join(pairs)}>{join(*children)}</{name}>")


def join(*children: object) -> Html:
    """The children one after the other."""
    return Html("".join(escape(child) for child in children))


def preformatted(text: str) -> Html:
    """`<pre>` with the line breaks of `text`, which anywhere else would be shown as escapes."""
    return tag("pre", Html("\n".join(escape(line) for line in text.split("\n"))))


def number(value: float) -> str:
    """A coordinate with at most two decimals: enough for a pixel, and it keeps the file small."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
