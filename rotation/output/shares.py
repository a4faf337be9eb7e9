"""Room divided as numbers are, for bars of characters and of pixels."""

from __future__ import annotations

from collections.abc import Sequence


def shares(numbers: Sequence[int], width: int) -> list[int]:
    """*width* places divided as *numbers* are: whatever is not zero gets a place, and the largest gives it up.

    All zeros get nothing. Fewer places than numbers that are not zero is no bar, and an error (ValueError).
    """
    total = sum(numbers)
    if not total:
        return [0] * len(numbers)
    if width < sum(number > 0 for number in numbers):
        raise ValueError(f"a bar of {width} places has no room for its parts")
    # Whole numbers throughout: a float would lose one cell among 2**53.
    places = [max(number * width // total, number > 0) for number in numbers]
    while (over := sum(places) - width) > 0:
        places[places.index(max(places))] -= min(over, 1)
    remainders = sorted(range(len(numbers)), key=lambda index: -(numbers[index] * width % total))
    for index in remainders[: width - sum(places)]:
        places[index] += 1
    return [int(place) for place in places]
