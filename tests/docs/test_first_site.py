"""The site file on the page about a first shadow run is valid, with the map and the secret it names."""

from __future__ import annotations

from pathlib import Path

from dispatch.site_file.load import check_site_file
from tests.docs.pages import DOCS, blocks


def test_the_site_file_of_the_page_is_valid(tmp_path: Path) -> None:
    (body,) = [text for kind, text in blocks(DOCS / "how-to" / "run-a-first-site-in-shadow.md") if kind == "toml"]
    (tmp_path / "site.toml").write_text(body)
    rows = [f"10.20.{n // 250}.{n % 250 + 1},a-m60s,a,whatsminer-m60s" for n in range(3200)]
    (tmp_path / "site-map.csv").write_text("\n".join(["ip,group,hall,model", *rows]))
    (tmp_path / "rigs.secret").write_text("admin")
    found = check_site_file(tmp_path / "site.toml")
    assert found.faults == () and found.summary["rigs"] == 3200
