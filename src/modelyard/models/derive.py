"""Derived features: the declaration as a step of a scikit-learn pipeline, and the same step compiled.

Both compute what `weighted_sum` says, in float32 and in the same order, so that not even the last digit differs.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, TransformerMixin

from modelyard.contract import Contract

# A weight and the positions of the columns whose product it weighs.
Formula = list[tuple[float, list[int]]]
Column = TypeVar("Column")
Operation = Callable[[Column, Column], Column]


def weighted_sum(
    formula: Formula,
    column: Callable[[int], Column],
    constant: Callable[[float], Column],
    multiply: Operation[Column],
    add: Operation[Column],
) -> Column:
    """A derived feature, with whatever stands for columns and for what is done to them.

    Args:
        formula: What is added up.
        column: The column at a position.
        constant: A number as what columns can be multiplied with.
        multiply: The product of two of them.
        add: The sum of two of them.
    """
    terms = [reduce(multiply, map(column, positions), constant(weight)) for weight, positions in formula]
    return reduce(add, terms)


class DerivedFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Leaves columns out and appends derived ones. It has nothing to learn.

    Attributes:
        formulas: One for each derived feature, in order.
        kept: Positions of the columns that stay, in order.
    """

    def __init__(self, formulas: list[Formula], kept: list[int]) -> None:
        self.formulas = formulas
        self.kept = kept

    def fit(self, X: NDArray[Any], y: object = None) -> Self:  # noqa: ARG002, N803 (names that scikit-learn knows)
        """Remembers how many columns there are."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:  # noqa: N803
        """The columns that stay, then the derived ones; `X` has no missing value."""
        columns = np.asarray(X, dtype=np.float32)
        derived = [
            weighted_sum(formula, lambda position: columns[:, position], np.float32, np.multiply, np.add)
            for formula in self.formulas
        ]
        return np.column_stack([columns[:, self.kept], *derived])


def derived_features(contract: Contract, columns: Sequence[str]) -> DerivedFeatures | None:
    """The step that a contract declares, if it declares any.

    Args:
        contract: Says what is derived and what is dropped.
        columns: The numeric features in the order of the step's input.
    """
    if not contract.derived:
        return None
    position = {name: index for index, name in enumerate(columns)}
    formulas = [
        [(term.weight, [position[name] for name in term.features]) for term in derived.terms]
        for derived in contract.derived
    ]
    return DerivedFeatures(formulas, [position[name] for name in columns if name not in contract.dropped])


def _shape(operator: Any) -> None:
    step = operator.raw_operator
    width = len(step.kept) + len(step.formulas)
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])


def _compile(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(scope, container, operator.inputs[0].full_name)
    step = operator.raw_operator
    kept = [graph.columns(step.kept)] if step.kept else []
    derived = [
        weighted_sum(formula, lambda position: graph.columns([position]), graph.constant, graph.multiply, graph.add)
        for formula in step.formulas
    ]
    container.add_node("Concat", [*kept, *derived], operator.outputs[0].full_name, axis=1)


class _Graph:
    """Nodes of a graph; what columns are, here, is the names of their nodes."""

    def __init__(self, scope: Any, container: Any, table: str) -> None:
        self._scope = scope
        self._container = container
        self._table = table

    def columns(self, positions: list[int]) -> str:
        where = self._scope.get_unique_variable_name("positions")
        self._container.add_initializer(where, TensorProto.INT64, [len(positions)], positions)
        return self._node("Gather", [self._table, where], axis=1)

    def constant(self, weight: float) -> str:
        name: str = self._scope.get_unique_variable_name("weight")
        self._container.add_initializer(name, TensorProto.FLOAT, [1], [weight])
        return name

    def multiply(self, one: str, other: str) -> str:
        return self._node("Mul", [one, other])

    def add(self, one: str, other: str) -> str:
        return self._node("Add", [one, other])

    def _node(self, kind: str, inputs: list[str], **attributes: int) -> str:
        name: str = self._scope.get_unique_variable_name(kind.lower())
        self._container.add_node(kind, inputs, name, **attributes)
        return name


update_registered_converter(DerivedFeatures, "ModelyardDerivedFeatures", _shape, _compile)
