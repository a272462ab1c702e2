"""SVG, and the SVG in an HTML page, written by hand: elements with their attributes in the order given."""

from html import escape

__all__ = ["element", "label", "picture"]

_XMLNS = "http://www.w3.org/2000/svg"


def element(name: str, *content: str, **attributes: object) -> str:
    """Return an element.

    Args:
        name: Such as ``rect``.
        content: What stands in it, as SVG already.
        attributes: Names with ``_`` for ``-``, and one at the end where Python has the word (``class_``). A float is
            written with one decimal; everything else as it is, escaped.
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{''.join(content)}</{name}>" if content else f"<{name}{written}/>"


def label(text: object, **attributes: object) -> str:
    """Return a ``text`` element."""
    return element("text", escape(str(text)), **attributes)


def picture(*lines: str, **attributes: object) -> str:
    """Return a file of its own: an ``svg`` element, a line for each element in it."""
    return element("svg", "\n", *(f"{line}\n" for line in lines), xmlns=_XMLNS, **attributes) + "\n"


def _value(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else escape(str(value))
