"""The derivation in symbols: F to second order, Z[J] by completing the square, cumulants as derivatives of ln Z.

Two stories. In `SymbolicAction` every column varies. In `SymbolicTarget` the x's are numbers from a row, y is the
only variable, and the first derivative of ln Z is the regression line. Both need SymPy:
``pip install 'cumulant[symbolic]'``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cumulant.errors import MissingDependencyError, OptionError
from cumulant.lift.schema import unknown_column

if TYPE_CHECKING:
    from cumulant.theory.gaussian import GaussianAction

__all__ = ["MOST_COLUMNS", "SymbolicAction", "SymbolicTarget", "expand"]

# The inverse of a matrix of symbols has a determinant of p! terms in each entry.
MOST_COLUMNS = 4


def expand(free_energy: Any, fields: Sequence[Any], about: Sequence[Any], order: int = 2) -> Any:
    """Taylor series of a free energy, in the deviations from a reference point.

    Parameters
    ----------
    free_energy
        F, a SymPy expression.
    fields
        Symbols of the fields (p,).
    about
        The reference point (p,).
    order
        Highest order kept.

    Returns
    -------
    sympy.Expr
        A polynomial in ``fields``.

    Examples
    --------
    >>> import sympy as sp
    >>> x, y = sp.symbols("x y")
    >>> expand(sp.exp(x * y) + x**3, (x, y), (0, 0))
    x*y + 1
    """
    sp = _sympy()
    t = sp.Dummy("t")
    point = dict(zip(fields, about, strict=True))
    along = free_energy.subs({phi: at + t * (phi - at) for phi, at in point.items()}, simultaneous=True)
    terms = [along.diff(t, n).subs(t, 0) / sp.factorial(n) for n in range(order + 1)]
    return sum(terms, sp.Integer(0))


@dataclass(frozen=True)
class SymbolicAction:
    """A free energy of second order in named columns, F = ½ Σ K_ij (φ_i − μ_i)(φ_j − μ_j), in symbols.

    Parameters
    ----------
    columns
        Names of one to four columns.

    Raises
    ------
    MissingDependencyError
        SymPy is not installed.
    OptionError
        There are no columns, too many, or two of the same name.

    Examples
    --------
    >>> from cumulant.theory.symbolic import SymbolicAction
    >>> action = SymbolicAction(("x", "y"))
    >>> action.cumulant("y")
    mu_y
    >>> action.cumulant("x", "y")
    -K_xy/(K_xx*K_yy - K_xy**2)
    >>> action.coefficients("y")
    {'x': -K_xy/K_yy}
    """

    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        if not 1 <= len(self.columns) <= MOST_COLUMNS or len(set(self.columns)) < len(self.columns):
            raise OptionError(f"columns={self.columns!r}: give one to {MOST_COLUMNS} different names")
        _refuse_clashes([*self.fields, *self.means, *self.sources, *self.precision.free_symbols])

    @cached_property
    def fields(self) -> tuple[Any, ...]:
        """φ (p,)."""
        return tuple(_sympy().Symbol(name, real=True) for name in self.columns)

    @cached_property
    def means(self) -> tuple[Any, ...]:
        """μ (p,)."""
        return tuple(_sympy().Symbol(f"mu_{name}", real=True) for name in self.columns)

    @cached_property
    def sources(self) -> tuple[Any, ...]:
        """J (p,)."""
        return tuple(_sympy().Symbol(f"J_{name}", real=True) for name in self.columns)

    @cached_property
    def precision(self) -> Any:
        """K (p, p), symmetric: a matrix of symbols."""
        sp = _sympy()

        def entry(i: int, j: int) -> Any:
            a, b = self.columns[min(i, j)], self.columns[max(i, j)]
            return sp.Symbol(f"K_{a}{b}" if len(a) == len(b) == 1 else f"K_{a}_{b}", real=True, positive=a == b or None)

        return sp.ImmutableMatrix(len(self.columns), len(self.columns), entry)

    @cached_property
    def propagator(self) -> Any:
        """G = K⁻¹ (p, p)."""
        return self.precision.inv(method="ADJ").applyfunc(_sympy().factor)

    @cached_property
    def free_energy(self) -> Any:
        """F(φ)."""
        eta = self._column(self.fields) - self._column(self.means)
        return (eta.T * self.precision * eta)[0] / 2

    @cached_property
    def peak(self) -> Any:
        """φ* = μ + G J (p, 1): where F(φ) − J·φ is smallest. The source moves the bell and keeps its shape."""
        return self._column(self.means) + self.propagator * self._column(self.sources)

    @cached_property
    def completed_square(self) -> Any:
        """½ (φ − φ*)ᵀ K (φ − φ*) − W[J], which equals F(φ) − J·φ."""
        eta = self._column(self.fields) - self.peak
        return (eta.T * self.precision * eta)[0] / 2 - self.generator

    @cached_property
    def generator(self) -> Any:
        """W[J] = ln Z[J] − ln Z[0] = J·μ + ½ J·G·J."""
        j = self._column(self.sources)
        return (j.T * self._column(self.means))[0] + (j.T * self.propagator * j)[0] / 2

    @cached_property
    def partition(self) -> Any:
        """Z[J] = √((2π)ᵖ / det K) · exp W[J]: the integral of exp(−½ η·K·η), read from a table, times what is left."""
        sp = _sympy()
        return sp.sqrt((2 * sp.pi) ** len(self.columns) / self.precision.det()) * sp.exp(self.generator)

    def cumulant(self, *columns: str) -> Any:
        """∂ⁿ ln Z / ∂J… at J = 0 for the named columns: one gives a mean, two a covariance, more give zero."""
        sp = _sympy()
        if not columns:
            raise OptionError("name at least one column: cumulants begin at order 1")
        log_z = sp.log(self.partition)
        for name in columns:
            log_z = log_z.diff(self.sources[self._position(name)])
        return sp.factor(sp.simplify(log_z.subs(dict.fromkeys(self.sources, 0))))

    def coefficients(self, target: str) -> dict[str, Any]:
        """β_j = −K_yj / K_yy."""
        y, k = self._position(target), self.precision
        return {name: -k[y, j] / k[y, y] for j, name in enumerate(self.columns) if j != y}

    def variance(self, target: str) -> Any:
        """σ² = 1/K_yy: the variance of ``target`` at fixed values of the others."""
        y = self._position(target)
        return 1 / self.precision[y, y]

    def evaluate(self, expression: Any, action: GaussianAction) -> float:
        """The value of an expression in μ and K for the numbers of a fitted action with these columns.

        Raises
        ------
        ColumnError
            The action lacks one of the columns.
        OptionError
            The expression holds a field or a source, which has no value.
        """
        for name in self.columns:
            if name not in action.columns:
                raise unknown_column(name, action.columns)
        if set(action.columns) != set(self.columns):
            raise OptionError(
                f"the action has {len(action.columns)} fields and the symbols {len(self.columns)}; "
                "integrate the other fields out of the action first"
            )
        at = [action.columns.index(name) for name in self.columns]
        values: dict[Any, float] = dict(zip(self.means, action.mean[at], strict=True))
        for i, a in enumerate(at):
            values |= {self.precision[i, j]: float(action.precision[a, b]) for j, b in enumerate(at)}
        return _number(expression, values)

    def _position(self, name: str) -> int:
        if name not in self.columns:
            raise unknown_column(name, self.columns)
        return self.columns.index(name)

    @staticmethod
    def _column(entries: Sequence[Any]) -> Any:
        return _sympy().ImmutableMatrix(list(entries))


@dataclass(frozen=True)
class SymbolicTarget:
    """One variable y beside x's that are numbers from a row: linear regression as the first derivative of ln Z.

    To second order, and without the terms that hold no y (they cancel in exp(−F)/Z),
    F(y) = f·y + ½ K_yy y² + Σ_j K_yj x_j y.

    Parameters
    ----------
    target
        Name of y.
    inputs
        Names of the x's.

    Examples
    --------
    >>> from cumulant.theory.symbolic import SymbolicTarget
    >>> y = SymbolicTarget("y", ("x",))
    >>> y.line
    beta_0 + beta_x*x
    >>> y.generator
    J**2*sigma**2/2
    >>> y.cumulant(1), y.cumulant(2)
    (0, sigma**2)
    >>> y.coefficients
    {'const': -f/K_yy, 'x': -K_yx/K_yy}
    """

    target: str
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        if len({self.target, *self.inputs}) <= len(self.inputs):
            raise OptionError(f"target={self.target!r}, inputs={self.inputs!r}: give each name once")
        couplings = [self._slope, self._curvature, *map(self._mixed, self.inputs)]
        line = [self._symbol("beta_0"), *map(self._slope_along, self.inputs)]
        _refuse_clashes([self.y, *self._x, self.source, self.sigma, *couplings, *line])

    @cached_property
    def y(self) -> Any:
        """The variable that is integrated over."""
        return self._symbol(self.target)

    @cached_property
    def source(self) -> Any:
        """J, coupled to y − μ."""
        return self._symbol("J")

    @cached_property
    def sigma(self) -> Any:
        """σ, positive."""
        return _sympy().Symbol("sigma", positive=True)

    @cached_property
    def expansion(self) -> Any:
        """F(y) to second order, in the Taylor coefficients f and K."""
        k, y = self._curvature, self.y
        mixed = (self._mixed(name) * x * y for name, x in zip(self.inputs, self._x, strict=True))
        return self._slope * y + k * y**2 / 2 + sum(mixed)

    @cached_property
    def coefficients(self) -> dict[str, Any]:
        """β in terms of F's Taylor coefficients: where ∂F/∂y = 0, term by term."""
        sp = _sympy()
        (root,) = sp.solve(self.expansion.diff(self.y), self.y)
        peak = sp.expand(root)
        slopes = {name: peak.coeff(x) for name, x in zip(self.inputs, self._x, strict=True)}
        return {"const": peak.subs(dict.fromkeys(self._x, 0)), **slopes}

    @cached_property
    def variance(self) -> Any:
        """σ² = 1/K_yy in terms of F's Taylor coefficients."""
        return 1 / self.expansion.diff(self.y, 2)

    @cached_property
    def line(self) -> Any:
        """μ(x) = β₀ + Σ β_j x_j."""
        terms = (self._slope_along(name) * x for name, x in zip(self.inputs, self._x, strict=True))
        return self._symbol("beta_0") + sum(terms)

    @cached_property
    def free_energy(self) -> Any:
        """F(y) = (y − μ)² / (2σ²): the expansion rearranged, up to terms without y."""
        return (self.y - self.line) ** 2 / (2 * self.sigma**2)

    @cached_property
    def completed_square(self) -> Any:
        """(y − μ − σ²J)² / (2σ²) − ½ σ²J², which equals F(y) − J·(y − μ)."""
        shifted = self.y - self.line - self.sigma**2 * self.source
        return shifted**2 / (2 * self.sigma**2) - self.generator

    @cached_property
    def generator(self) -> Any:
        """W[J] = ½ σ² J²."""
        return self.sigma**2 * self.source**2 / 2

    @cached_property
    def partition(self) -> Any:
        """Z[J] = √(2π) σ exp(½ σ² J²)."""
        sp = _sympy()
        return sp.sqrt(2 * sp.pi) * self.sigma * sp.exp(self.generator)

    def cumulant(self, order: int) -> Any:
        """∂ⁿ ln Z / ∂Jⁿ at J = 0: ⟨y − μ⟩ = 0, which is linear regression; then σ²; then zero."""
        sp = _sympy()
        if order < 1:
            raise OptionError(f"order={order!r}: cumulants begin at order 1")
        return sp.simplify(sp.log(self.partition).diff(self.source, order).subs(self.source, 0))

    def _symbol(self, name: str) -> Any:
        return _sympy().Symbol(name, real=True)

    @property
    def _x(self) -> tuple[Any, ...]:
        return tuple(self._symbol(name) for name in self.inputs)

    @property
    def _slope(self) -> Any:
        return self._symbol("f")

    @property
    def _curvature(self) -> Any:
        joint = "" if len(self.target) == 1 else "_"
        return _sympy().Symbol(f"K_{self.target}{joint}{self.target}", positive=True)

    def _slope_along(self, name: str) -> Any:
        return self._symbol(f"beta_{name}")

    def _mixed(self, name: str) -> Any:
        joint = "" if len(self.target) == len(name) == 1 else "_"
        return self._symbol(f"K_{self.target}{joint}{name}")


def _refuse_clashes(symbols: Sequence[Any]) -> None:
    """Symbols of different meaning must not look alike."""
    names = [symbol.name for symbol in symbols]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"a column's name gives '{name}' two meanings; use other names in the symbols")


def _number(expression: Any, values: Mapping[Any, float]) -> float:
    left = _sympy().sympify(expression).subs(values)
    if left.free_symbols:
        names = ", ".join(sorted(map(str, left.free_symbols)))
        raise OptionError(f"the expression still holds {names}; set sources to 0 and fields to numbers first")
    return float(left)


def _sympy() -> ModuleType:
    try:
        import sympy
    except ImportError as error:
        raise MissingDependencyError(
            "the derivation in symbols needs SymPy; install it with: pip install 'cumulant[symbolic]'"
        ) from error
    module: ModuleType = sympy
    return module
