"""Parts of pages that are written from code or data, between `<!-- NAME -->` and `<!-- end of NAME -->`."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from tests.docs.pages import DOCS


def with_parts(text: str, parts: Mapping[str, str]) -> str:
    """The page's text with each part put between its two marks. Raises ValueError for a part without marks."""
    for name, body in parts.items():
        before, opening, rest = text.partition(f"<!-- {name} -->\n")
        _, closing, after = rest.partition(f"<!-- end of {name} -->")
        if not opening or not closing:
            raise ValueError(f"no marks for {name!r}")
        text = f"{before}{opening}{body}{closing}{after}"
    return text


def write(page: str, parts: Mapping[str, str]) -> None:
    """Write the parts into a page of docs/."""
    path = DOCS / page
    path.write_text(with_parts(path.read_text("utf-8"), parts), "utf-8")
    print(f"docs/{page} written", file=sys.stderr)


def stale(page: str, parts: Mapping[str, str]) -> bool:
    """Whether a page of docs/ differs from what would be written."""
    text = (DOCS / page).read_text("utf-8")
    return with_parts(text, parts) != text
