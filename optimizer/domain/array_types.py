"""Names for numpy arrays: floats, integers, and arrays of either float or Decimal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Floats while planning, Decimals (dtype object) while settling.
Numbers = NDArray[Any]
