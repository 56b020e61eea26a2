"""Figures as bytes: PNG, SVG, and SVG to be put inside a page. No dates, no random ids, nothing from outside."""

from __future__ import annotations

import io
import re
from html import escape

from matplotlib.figure import Figure

from reports.figures.style import applied

_ID = re.compile(r'(\bid="|url\(#|href="#)')
_OPENING = re.compile(r'<svg[^>]*?viewBox="(?P<box>[^"]+)"[^>]*>')
_GEOMETRY = re.compile(r'\b(?:d|x|y|points|transform)="[^"]*"')
_LONG_NUMBER = re.compile(r"(\d+\.\d{2})\d+")
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_RASTER_DPI = 160  # sharp enough for print and for dense screens


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    out = io.BytesIO()
    with applied():
        figure.savefig(out, format="png", dpi=_RASTER_DPI, metadata={"Software": None})
    return out.getvalue()


def svg(figure: Figure) -> str:
    """The figure as a standalone SVG file; what is rasterised in it is embedded."""
    out = io.StringIO()
    with applied():
        figure.savefig(out, format="svg", dpi=_RASTER_DPI, metadata=_NO_METADATA)
    return _GEOMETRY.sub(lambda attribute: _LONG_NUMBER.sub(r"\1", attribute[0]), out.getvalue())


def inline(document: str, name: str, alternative: str) -> str:
    """A standalone SVG as an element of a page, which sets its size.

    `name` makes its ids unique; `alternative` is what a screen reader says.
    """
    opening = _OPENING.search(document)
    if opening is None:
        raise ValueError("not an SVG document")
    head = f'<svg viewBox="{opening["box"]}" role="img" aria-label="{escape(alternative)}">'
    return head + _ID.sub(rf"\g<1>{name}-", document[opening.end() :].strip())
