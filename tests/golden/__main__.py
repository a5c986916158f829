"""Write the golden statements anew: `python -m tests.golden`. What changed is to be read before it is committed."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.golden.examples import EXAMPLES

for name, example in EXAMPLES.items():
    with TemporaryDirectory() as folder:
        (Path(__file__).parent / f"{name}.txt").write_text(example(Path(folder)), "utf-8")
