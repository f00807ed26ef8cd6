"""Columns of a table whose rows are structs: what a struct's fields are in Parquet."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from msgspec import Struct, inspect

Scalar = Literal["string", "int64", "float64", "bool"]
"""By the names that Arrow uses."""


class ListColumn(NamedTuple):
    items: "ColumnType"


class StructColumn(NamedTuple):
    fields: tuple["Column", ...]


class Column(NamedTuple):
    name: str
    type: "ColumnType"


ColumnType = Scalar | ListColumn | StructColumn


def columns_of(kind: type[Struct]) -> tuple[Column, ...]:
    """Return a column for each field of *kind*, by its encoded name; any of them may be null.

    Raises:
        TypeError: a field holds what a column cannot; the message names it.
    """
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return _columns(info)


def _columns(info: inspect.StructType) -> tuple[Column, ...]:
    columns = list[Column]()
    for field in info.fields:
        try:
            columns.append(Column(field.encode_name, _column_type(field.type)))
        except TypeError as error:
            raise TypeError(f"{info.cls.__name__}.{field.name}: {error}") from error
    return tuple(columns)


def _column_type(kind: inspect.Type) -> ColumnType:
    match kind:
        case inspect.StrType():
            return "string"
        case inspect.LiteralType(values=values) if all(isinstance(v, str) for v in values):
            return "string"
        case inspect.BoolType():
            return "bool"
        case inspect.IntType():
            return "int64"
        case inspect.FloatType():
            return "float64"
        case inspect.StructType():
            return StructColumn(_columns(kind))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return ListColumn(_column_type(item))
        case inspect.TupleType(item_types=items):
            return ListColumn(_one_type(items))
        case inspect.UnionType(types=types):
            return _one_type(t for t in types if not isinstance(t, inspect.NoneType))
        case _:
            raise TypeError(f"a column cannot hold {type(kind).__name__.removesuffix('Type')}")


def _one_type(kinds: Iterable[inspect.Type]) -> ColumnType:
    types = set[ColumnType](map(_column_type, kinds))
    if len(types) != 1:
        raise TypeError("all values of a column must have the same type")
    return types.pop()
