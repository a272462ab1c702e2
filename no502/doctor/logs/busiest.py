"""The most frequent of many names in bounded memory (space-saving, Metwally et al. 2005)."""

__all__ = ["Busiest"]


class Busiest:
    """Counts names, remembering at most ``capacity`` of them.

    Every count is at least the true one and at most ``total / capacity`` above it; a name that makes up more than
    ``1 / capacity`` of all is never missing. Up to ``capacity`` different names the counts are exact.

    Args:
        capacity: How many names are remembered.
    """

    def __init__(self, capacity: int = 128) -> None:
        self._capacity = capacity
        self._counts: dict[str, int] = {}
        self._candidates: list[str] = []
        self._lowest = 0
        self.total = 0
        self.exact = True
        """Whether no name has been replaced yet."""

    def add(self, name: str) -> None:
        """Count one occurrence."""
        self.total += 1
        counts = self._counts
        if name in counts:
            counts[name] += 1
        elif len(counts) < self._capacity:
            counts[name] = 1
        else:
            self.exact = False
            rarest = self._rarest()
            counts[name] = counts.pop(rarest) + 1

    def _rarest(self) -> str:
        """Return a name with the lowest count; the candidates are collected once for all of them, not each time."""
        counts = self._counts
        while self._candidates:
            name = self._candidates.pop()
            if counts.get(name) == self._lowest:
                return name
        self._lowest = min(counts.values())
        self._candidates = [name for name, count in counts.items() if count == self._lowest]
        return self._candidates.pop()

    def top(self, count: int) -> list[tuple[str, int]]:
        """Return the most frequent names with their counts, the most frequent first, equal ones by name."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:count]

    @property
    def error(self) -> int:
        """How far above the truth a count can be."""
        return 0 if self.exact else self.total // self._capacity
