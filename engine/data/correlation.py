"""Correlation of pairs of numbers."""

from math import sqrt


class Correlation:
    """Pearson's correlation of pairs, in one pass (Welford's updates)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean_x = self._mean_y = 0.0
        self._xx = self._yy = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        self.count += 1
        from_x, from_y = x - self._mean_x, y - self._mean_y
        self._mean_x += from_x / self.count
        self._mean_y += from_y / self.count
        self._xx += from_x * (x - self._mean_x)
        self._yy += from_y * (y - self._mean_y)
        self._xy += from_x * (y - self._mean_y)

    def value(self) -> float | None:
        spread = sqrt(self._xx * self._yy)
        return max(-1.0, min(1.0, self._xy / spread)) if spread > 1e-9 else None
