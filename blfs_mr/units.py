"""Sizes and durations as people write them: ``64MiB``, ``5min``. Pure; used at the edges only.

Inside the code a size is an ``int`` of bytes and a duration a ``float`` of seconds. The units of size are
those of GNU coreutils (``info coreutils 'Block size'``): ``KiB`` and ``K`` are 1024 bytes, ``kB`` is 1000.
All errors are plain :class:`ValueError`: only the caller knows whether an option, a configuration key or a
job's attribute is to blame, and names it.
"""

from __future__ import annotations

_BINARY_PREFIXES = "KMGTP"

_SIZE_UNITS: dict[str, int] = {"": 1, "b": 1}
for _power, _prefix in enumerate(_BINARY_PREFIXES.lower(), start=1):
    _SIZE_UNITS[_prefix] = _SIZE_UNITS[f"{_prefix}ib"] = 1024**_power
    _SIZE_UNITS[f"{_prefix}b"] = 1000**_power

_MILLISECONDS: dict[str, int] = {
    "ms": 1,
    "": 1000,
    "s": 1000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
}

_LONGEST_NUMBER = 30
"""Digits of a size or duration. No real one comes near; a longer one would only make arithmetic slow."""


def parse_size(given: str | int) -> int:
    """Return the bytes that ``given`` means: ``"64MiB"``, ``"1.5 GiB"``, ``"64MB"``, ``"4096"`` or an int.

    Units are matched whatever their case. Raises ValueError for anything else, for a size below 0, and for
    a fraction that does not come to whole bytes.
    """
    expected = 'a size is a number of bytes or a text such as "64MiB", "1.5GiB" or "4096"'
    if type(given) is int:
        if given < 0:
            raise ValueError(f"{given} is below 0; {expected}")
        return given
    number, decimals, unit = _number_and_unit(given, expected)
    if unit not in _SIZE_UNITS:
        raise ValueError(
            f"{given!r} has an unknown unit; {expected}; the units are B, KiB, MiB, GiB, TiB, PiB"
        )
    scale: int = 10**decimals
    size, remainder = divmod(number * _SIZE_UNITS[unit], scale)
    if remainder:
        raise ValueError(f"{given!r} does not come to whole bytes; {expected}")
    return size


def format_size(size: int) -> str:
    """Return ``size`` bytes as text: exact where a unit fits (``64MiB``), else with one decimal (``1.5GiB``).

    What this returns without a decimal, :func:`parse_size` turns back into ``size``.
    """
    if abs(size) < 1024:
        return f"{size}B"
    power = min((abs(size).bit_length() - 1) // 10, len(_BINARY_PREFIXES))
    unit: int = 1024**power
    name = f"{_BINARY_PREFIXES[power - 1]}iB"
    return f"{size // unit}{name}" if size % unit == 0 else f"{size / unit:.1f}{name}"


def parse_duration(given: str | int | float) -> float:
    """Return the seconds that ``given`` means: ``"5s"``, ``"250ms"``, ``"5min"``, ``"1.5h"``, or a number.

    Raises ValueError for anything else, and for a duration below 0 or without end.
    """
    expected = 'a duration is a number of seconds or a text such as "250ms", "5s", "5min" or "1.5h"'
    if type(given) is int or type(given) is float:
        if not 0 <= given < float("inf"):
            raise ValueError(f"{given} is not possible here; {expected}")
        return float(given)
    number, decimals, unit = _number_and_unit(given, expected)
    if unit not in _MILLISECONDS:
        raise ValueError(f"{given!r} has an unknown unit; {expected}; the units are ms, s, min, h, d")
    scale: int = 1000 * 10**decimals
    return number * _MILLISECONDS[unit] / scale


def _number_and_unit(given: object, expected: str) -> tuple[int, int, str]:
    """Take ``"1.50 GiB"`` apart into ``(150, 2, "gib")``: the digits, how many are decimals, the unit."""
    if not isinstance(given, str):
        raise ValueError(f"{given!r} is neither a number nor a text; {expected}")
    text = given.strip()
    unit = text.lstrip("0123456789.")
    whole, point, fraction = text[: len(text) - len(unit)].partition(".")
    digits = whole + fraction
    if not digits.isdecimal() or (point and not fraction) or len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"{given!r} is not understood; {expected}")
    return int(digits), len(fraction), unit.strip().lower()
