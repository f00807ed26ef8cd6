"""Named rows of one extension point: built in, or added by installed packages."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from .errors import UserError


class Named(Protocol):
    """What every row has."""

    @property
    def name(self) -> str: ...


Row = TypeVar("Row", bound=Named)

BUILT_IN = "codeclm"
"""The origin of the rows that come with the package."""


class UnknownNameError(UserError):
    """No row has this name. The message lists the names that exist."""


class PluginError(UserError):
    """An installed package offers a row that cannot be used. The message names the package."""


class Origin(NamedTuple):
    """Where a row comes from: the distribution's name and version."""

    name: str
    distribution: str


class Registry(Generic[Row]):
    """Rows by name: the built-in ones first, in their own order, then plugins in order of name.

    Another distribution adds a row by an entry point in *group* that points to an instance or a
    subclass of *kind* whose ``name`` is the entry point's. Plugins are imported when a name that is
    not built in is looked up, or when all rows are listed; they cannot replace a built-in row.

    Args:
        group: the entry-point group, such as ``codeclm.recipes``.
        noun: what a row is called in messages.
        kind: the class of the rows, or their base where the rows are classes.
        rows: the built-in rows.
        aliases: other names for built-in rows.
    """

    def __init__(
        self,
        group: str,
        noun: str,
        kind: type[Any],
        rows: Iterable[Row],
        *,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.group = group
        self._noun = noun
        self._kind = kind
        self._rows = {row.name: row for row in rows}
        self._aliases = dict(aliases or {})
        self._origins = dict.fromkeys(self._rows, BUILT_IN)
        self._plugins: dict[str, EntryPoint] | None = None

    def __getitem__(self, name: str) -> Row:
        """Return the row called *name*, or whose alias it is.

        Raises:
            UnknownNameError: no row has this name.
            PluginError: the package that offers it cannot be imported, or offers something else.
        """
        name = self._aliases.get(name, name)
        row = self._rows.get(name)
        if row is not None:
            return row
        point = self._entry_points().get(name)
        if point is None:
            raise UnknownNameError(self._unknown(name))
        return self._load(point)

    def __contains__(self, name: object) -> bool:
        return name in self._aliases or name in self._rows or name in self._entry_points()

    def __iter__(self) -> Iterator[Row]:
        """Yield every row.

        Raises:
            PluginError: as for a lookup.
        """
        for name in self.names():
            yield self[name]

    def names(self) -> list[str]:
        """Return the name of every row, without importing a plugin."""
        plugins = sorted(self._entry_points().keys() - self._rows.keys())
        return [*self._rows, *plugins]

    def origins(self) -> list[Origin]:
        """Return where every row comes from, without importing a plugin."""
        points = self._entry_points()
        return [
            Origin(name, self._origins.get(name) or _distribution(points[name]))
            for name in self.names()
        ]

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._plugins is None:
            self._plugins = {point.name: point for point in entry_points(group=self.group)}
        return self._plugins

    def _load(self, point: EntryPoint) -> Row:
        where = f"{_distribution(point)}: entry point {self.group}: {point.name} = {point.value}"
        try:
            row: Any = point.load()
        except Exception as error:
            raise PluginError(f"{where}: it cannot be imported: {error!r}") from error
        is_row = isinstance(row, self._kind) or (
            isinstance(row, type) and issubclass(row, self._kind)
        )
        if not is_row or row.name != point.name:
            raise PluginError(
                f"{where}: it must be a {self._kind.__name__} with the name {point.name!r}"
            )
        self._origins[point.name] = _distribution(point)
        self._rows[point.name] = row
        return cast("Row", row)

    def _unknown(self, name: str) -> str:
        names = self.names()
        near = get_close_matches(name, [*names, *self._aliases], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"unknown {self._noun} {name!r}: {hint}available: {', '.join(names)}"


def _distribution(point: EntryPoint) -> str:
    """Return the name and version of the distribution that declares *point*."""
    return "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
