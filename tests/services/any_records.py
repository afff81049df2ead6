"""Records near what is allowed, and anything else that JSON can say."""

from typing import Any

from hypothesis import strategies as st

from modelyard.contract import TaskKind
from tests.services.made_models import EVERY_RECORD, every_type_contract

EVERY_CONTRACT = every_type_contract(TaskKind.BINARY)


def anything() -> st.SearchStrategy[Any]:
    """Any JSON, often near what is allowed."""
    scalars = st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([0, 1, 2, -1, 0.5, 1.0, 3.0, 1e6, 1e7, 1e38, 4e38, "red", "m", "s", "", "Graz", "a\0"]),
        st.integers(min_value=-(10**400), max_value=10**400),
        st.integers(min_value=-10, max_value=10),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    )
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
    )


def near_records() -> st.SearchStrategy[dict[str, Any]]:
    """A valid record with some fields changed, left out or added."""
    names = st.sampled_from([*EVERY_CONTRACT.names, "id", "unknown"])
    changes = st.dictionaries(names, anything(), max_size=3)
    dropped = st.sets(st.sampled_from(EVERY_CONTRACT.names), max_size=2)
    return st.builds(
        lambda change, drop: {k: v for k, v in (EVERY_RECORD | change).items() if k not in drop}, changes, dropped
    )
