"""Whose turn it is: pages of subjects one after the other, and a pause for those in trouble that grows with it."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST = 2.0
LONGEST = 120.0


@dataclass
class _Trouble:
    name: str = ""
    times: int = 0
    until: float = 0.0
    odd: bool = False


@dataclass
class Turn:
    """What is remembered of subjects of one kind between steps: `after` is the number where the next page begins."""

    after: int = 0
    _troubles: dict[int, _Trouble] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def due(self, subject: int, now: float) -> bool:
        """Whether a subject is not to be left alone for now."""
        return subject not in self._troubles or now >= self._troubles[subject].until

    def done(self, subject: int) -> None:
        """Forget the trouble that a subject had."""
        self._troubles.pop(subject, None)

    def failed(self, subject: int, now: float, name: str, *, odd: bool = False) -> bool:
        """Leave a subject alone for a while, twice as long each time; return whether this trouble is another one.

        `odd` is trouble that nobody foresaw.
        """
        trouble = self._troubles.setdefault(subject, _Trouble())
        new = trouble.name != name
        trouble.name, trouble.odd, trouble.until = name, odd, now + min(FIRST * 2**trouble.times, LONGEST)
        trouble.times = min(trouble.times + 1, 16)
        return new

    def odd(self) -> dict[int, str]:
        """Return the trouble that nobody foresaw: subject -> its name."""
        return {subject: trouble.name for subject, trouble in self._troubles.items() if trouble.odd}

    def proceed(self, page: list[int], size: int) -> None:
        """Go on to the next page, or begin anew; what a whole round no longer met is forgotten."""
        self._seen.update(page)
        self.after = page[-1] if len(page) == size else 0
        if not self.after:
            self._troubles = {subject: trouble for subject, trouble in self._troubles.items() if subject in self._seen}
            self._seen = set()
