"""Least squares with a constant from a file, by cumulant and its peers: a path in, coefficients out, constant first.

Each function is the shortest program that a user of that package would write, with the fastest reader it offers. They
import what they need, since their processes are timed from the interpreter's start.
"""

from __future__ import annotations

from typing import Any

Coefficients = list[float | None]
BATCH_ROWS = 1 << 17


def _is_csv(path: str) -> bool:
    return path.endswith(".csv")


def cumulant(path: str) -> Coefficients:
    import cumulant as cm

    return cm.fit(path, prior=None).summary("y").values[:, 0].tolist()


def polars_ds(path: str) -> Coefficients:
    import polars as pl
    from polars_ds import lin_reg

    frame = pl.scan_csv(path) if _is_csv(path) else pl.scan_parquet(path)
    *regressors, target = frame.collect_schema().names()
    # The Cholesky solver and no search for nulls are its fastest choices. Its test for a singular design, a bound on
    # the determinant, rejects any hundred correlated columns.
    options = {"solver": "cholesky", "null_policy": "ignore", "singular_x_tol": 0.0}
    found = lin_reg(*regressors, target=target, add_bias=True, **options)
    *slopes, constant = frame.select(found).collect().item().to_list()
    return [constant, *slopes]


def duckdb_sums(path: str) -> Coefficients:
    import duckdb
    import numpy as np

    relation = duckdb.read_csv(path) if _is_csv(path) else duckdb.read_parquet(path)
    names = relation.columns
    q = len(names)
    pairs = [f"sum({a} * {b})" for i, a in enumerate(names) for b in names[i:]]
    sums = relation.aggregate(", ".join(["count(*)", *(f"sum({name})" for name in names), *pairs])).fetchall()[0]
    gram = np.empty((q + 1, q + 1))
    gram[np.triu_indices(q + 1)] = sums
    return _normal_equations(np.triu(gram) + np.triu(gram, 1).T)


def _normal_equations(gram: Any) -> Coefficients:
    """Coefficients from sums of products of (1, regressors, response), about the mean."""
    import numpy as np

    mean = gram[0, 1:] / gram[0, 0]
    about = gram[1:, 1:] / gram[0, 0] - np.outer(mean, mean)
    slopes = np.linalg.solve(about[:-1, :-1], about[:-1, -1])
    return [float(mean[-1] - mean[:-1] @ slopes), *slopes.tolist()]


def _pandas(path: str) -> tuple[Any, Any]:
    import pandas as pd

    frame = pd.read_csv(path, engine="pyarrow") if _is_csv(path) else pd.read_parquet(path)
    return frame.drop(columns="y"), frame["y"]


def _of(fitted: Any) -> Coefficients:
    return [float(fitted.intercept_), *map(float, fitted.coef_)]


def pandas_sklearn(path: str) -> Coefficients:
    from sklearn.linear_model import LinearRegression

    return _of(LinearRegression().fit(*_pandas(path)))


def pandas_intelex(path: str) -> Coefficients:
    from sklearnex.linear_model import LinearRegression

    return _of(LinearRegression().fit(*_pandas(path)))


def polars_intelex(path: str) -> Coefficients:
    import polars as pl
    from sklearnex.linear_model import LinearRegression

    frame = pl.read_csv(path) if _is_csv(path) else pl.read_parquet(path)
    return _of(LinearRegression().fit(frame.drop("y").to_numpy(), frame["y"].to_numpy()))


def intelex_incremental(path: str) -> Coefficients:
    import numpy as np
    import pyarrow.dataset
    from sklearnex.linear_model import IncrementalLinearRegression

    model = IncrementalLinearRegression()
    data = pyarrow.dataset.dataset(path, format="csv" if _is_csv(path) else "parquet")
    for batch in data.to_batches(batch_size=BATCH_ROWS):
        if batch.num_rows:
            *regressors, response = (column.to_numpy() for column in batch.columns)
            model.partial_fit(np.column_stack(regressors), response)
    return [float(np.ravel(model.intercept_)[0]), *np.ravel(model.coef_).tolist()]


def dask_grams(path: str) -> Coefficients:
    import dask
    import dask.dataframe as dd
    import numpy as np

    @dask.delayed
    def gram(part: Any) -> Any:
        z = np.column_stack([np.ones(len(part)), part.to_numpy()])
        return z.T @ z

    @dask.delayed
    def total(grams: list[Any]) -> Any:
        return np.sum(grams, axis=0)

    frame = dd.read_csv(path) if _is_csv(path) else dd.read_parquet(path)
    return _normal_equations(total([gram(part) for part in frame.to_delayed()]).compute())


def polars_column_sums(path: str) -> None:
    import polars as pl

    frame = pl.scan_csv(path) if _is_csv(path) else pl.scan_parquet(path)
    frame.select(pl.all().sum()).collect(engine="streaming")


WAYS = {
    "cumulant": cumulant,
    "polars + polars-ds": polars_ds,
    "DuckDB SUM(x*y)": duckdb_sums,
    "pandas + scikit-learn-intelex": pandas_intelex,
    "polars + scikit-learn-intelex": polars_intelex,
    "scikit-learn-intelex incremental, pyarrow batches": intelex_incremental,
    "dask": dask_grams,
    "pandas + scikit-learn": pandas_sklearn,
    "polars, column sums alone": polars_column_sums,
}
