"""Each claim of the page on determinism names a line that is still there."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, ROOT


def test_every_claim_names_a_line_that_holds_it() -> None:
    text = (DOCS / "determinism.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| .+ \| `[\w/.]+` \| `", line)]
    assert len(rows) > 10
    for row in rows:
        found = re.fullmatch(r"\| .+ \| `([\w/.]+)` \| `(.+)` \|", row)
        assert found, row
        lines = (ROOT / found[1]).read_text("utf-8").splitlines()
        assert any(found[2] in line for line in lines), f"{found[1]} has no line {found[2]!r}"
