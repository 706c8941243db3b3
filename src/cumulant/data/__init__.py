"""The table that ships with the package: flights out of New York City in 2013, with the weather."""

from __future__ import annotations

from pathlib import Path

__all__ = ["nyc_flights"]


def nyc_flights() -> Path:
    """Path of the demo table, a CSV file of 5,613 flights by 15 columns.

    Every 60th flight scheduled to leave a New York City airport in 2013, joined with the weather at that
    airport in the hour of departure. Cells are missing where the flight was cancelled or diverted or the
    weather station was silent. Columns, units and licence are in the ``README.md`` beside the file.

    Returns
    -------
    pathlib.Path
        An existing file inside the installed package; open it for reading only.

    References
    ----------
    US Bureau of Transportation Statistics (flights) and the airports' ASOS weather stations, as collected in
    the R package nycflights13 by Hadley Wickham; dedicated to the public domain (CC0).

    Examples
    --------
    >>> from cumulant.data import nyc_flights
    >>> with open(nyc_flights()) as table:
    ...     table.readline().split(",")[:4]
    ['date', 'hour', 'airline', 'origin']
    """
    return Path(__file__).with_name("nyc_flights.csv")
