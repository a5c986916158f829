"""Names for numpy arrays: floats, integers, and arrays of either float or Decimal; the larger and the smaller of two of the last kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Floats while planning, Decimals (dtype object) while settling.
Numbers = NDArray[Any]


def larger(a: Any, b: Any) -> Numbers:
    """The larger of two, element by element; NaN where either is NaN. Decimals refuse to be compared with NaN, so numpy cannot do it."""
    return _either(np.maximum, _larger_decimal, a, b)


def smaller(a: Any, b: Any) -> Numbers:
    """The smaller of two, element by element; NaN where either is NaN."""
    return _either(np.minimum, _smaller_decimal, a, b)


def _either(of_floats: Any, of_decimals: Any, a: Any, b: Any) -> Numbers:
    found: Numbers = (of_decimals if np.asarray(a).dtype == object or np.asarray(b).dtype == object else of_floats)(a, b)
    return found


_larger_decimal = np.frompyfunc(lambda a, b: a + b if a != a or b != b else max(a, b), 2, 1)
_smaller_decimal = np.frompyfunc(lambda a, b: a + b if a != a or b != b else min(a, b), 2, 1)
