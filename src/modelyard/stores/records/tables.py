"""The tables of a use case, made from its contract and held against it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection

from modelyard.contract import Contract, FeatureType, Target
from modelyard.errors import ContractChanged
from modelyard.stores.database import quoted, statement

if TYPE_CHECKING:
    import pyarrow as pa

SQL_TYPES = {
    FeatureType.NUMBER: "double precision",
    FeatureType.INTEGER: "bigint",
    FeatureType.BOOLEAN: "boolean",
    FeatureType.CATEGORY: "text",
    # Where it is kept.
    FeatureType.IMAGE: "text",
}


# No feature and no target has these. So a column of group or time is known for one, also when it is no longer declared.
GROUP_TYPE = "character varying"
# In UTC: what copies of a table say must not depend on a session's time zone.
TIME_TYPE = "timestamp without time zone"


class Column(NamedTuple):
    """A column of a table."""

    name: str
    type: str
    nullable: bool

    def __str__(self) -> str:
        return self.type if self.nullable else f"{self.type} not null"


def columns_of(contract: Contract) -> list[Column]:
    """A column for each feature, one for the target, and those of group and time that are no features.

    Group and time can be missing in the table, of records that came before they were declared.
    """
    features = [Column(f.name, SQL_TYPES[f.type], f.nullable) for f in contract.features]
    carried = [
        Column(name, GROUP_TYPE if name == contract.group else TIME_TYPE, nullable=True) for name in contract.carried
    ]
    return [*features, Column(contract.target.name, target_type(contract.target), nullable=False), *carried]


def target_type(target: Target) -> str:
    """The SQL type of a target: that of its labels, or a number's in a regression."""
    if not target.classes:
        return SQL_TYPES[FeatureType.NUMBER]
    integers = all(isinstance(label, int) for label in target.classes)
    return SQL_TYPES[FeatureType.INTEGER if integers else FeatureType.CATEGORY]


def arrow_columns(contract: Contract) -> "pa.Schema":
    """The columns of a contract as they are in memory, after the records' keys."""
    import pyarrow as pa

    types = {
        "double precision": pa.float64(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "text": pa.string(),
        GROUP_TYPE: pa.string(),
        TIME_TYPE: pa.timestamp("us"),
    }
    columns = [(column.name, types[column.type]) for column in columns_of(contract)]
    return pa.schema([("record_key", pa.string()), *columns])


def names(connection: Connection, contract: Contract) -> list[str]:
    """The columns of a contract, quoted as they stand in SQL."""
    return [quoted(connection, column.name) for column in columns_of(contract)]


def definitions(connection: Connection, contract: Contract) -> str:
    """The columns of a contract as they are declared in SQL."""
    return ", ".join(f"{quoted(connection, column.name)} {column}" for column in columns_of(contract))


def exists(connection: Connection, table: str) -> bool:
    """Whether there is a table of that name."""
    return bool(_columns(connection, table))


def fit_table(connection: Connection, table: str, contract: Contract, own: Sequence[str]) -> bool:
    """Holds a table against a contract and adds the nullable columns that the contract has gained.

    Columns of group or time that are no longer declared are left alone.

    Args:
        connection: In a transaction.
        table: Its name.
        contract: Declares its columns.
        own: The columns that it has besides.

    Returns:
        Whether there is such a table at all.

    Raises:
        ContractChanged: The contract differs from the table in any other way.
    """
    there = {column.name: column for column in _columns(connection, table) if column.name not in own}
    if not there:
        return False
    declared = {column.name: column for column in columns_of(contract)}
    gained = [column for name, column in declared.items() if name not in there]
    differences = [f"{column.name} is new and not nullable" for column in gained if not column.nullable]
    gone = [column for name, column in there.items() if name not in declared]
    differences += [f"{column.name} is gone" for column in gone if column.type not in (GROUP_TYPE, TIME_TYPE)]
    differences += [
        f"{name} was {there[name]} and is {column}"
        for name, column in declared.items()
        if name in there and column != there[name]
    ]
    if differences:
        where = f"table {table} of {connection.engine.url.database}"
        what = "; ".join(differences)
        raise ContractChanged(f"the contract does not fit {where} any more: {what}. Undo it, or rename the use case")
    for column in gained:
        definition = f"{quoted(connection, column.name)} {column}"
        connection.execute(statement("add_column", table=quoted(connection, table), column=definition))
    return True


def column_names(connection: Connection, table: str) -> list[str]:
    """The columns of a table in order; none: there is no such table."""
    return [column.name for column in _columns(connection, table)]


def _columns(connection: Connection, table: str) -> list[Column]:
    rows = connection.execute(statement("table_columns"), {"table": quoted(connection, table)})
    return [Column(*row) for row in rows]
