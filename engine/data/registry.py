"""Named rows of one extension point: built in, or added by installed packages."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from .errors import UserError


class Named(Protocol):
    """What every row has: a name."""

    @property
    def name(self) -> str: ...


Row = TypeVar("Row", bound=Named)

BUILT_IN = "codeclm"
"""The origin of the rows that come with the package."""


class UnknownNameError(UserError):
    """No row has this name. The message lists the names that exist."""


class PluginError(UserError):
    """A row of an installed package cannot be used. The message names the package."""


class Entry(NamedTuple):
    """One line of `codeclm plugins`.

    Attributes:
        name: The row's name.
        origin: ``codeclm``, or name and version of the distribution that adds the row.
        error: Why the row cannot be used, if it cannot.
    """

    name: str
    origin: str
    error: PluginError | None = None


class Registry(Generic[Row]):
    """Rows by name: the built-in ones first, in their own order, then plugins in order of name.

    Another distribution adds a row by an entry point in *group* that points to an instance of
    *kind* (a subclass, where the built-in rows are classes) whose ``name`` is the entry point's.
    Plugins are imported when a name that is not built in is looked up, or when all rows are listed;
    they cannot replace a built-in row.

    Args:
        group: the entry-point group, such as ``codeclm.recipes``.
        noun: what a row is called in messages.
        kind: the class of the rows, or their base where the rows are classes.
        rows: the built-in rows.
        aliases: other names for built-in rows.

    Raises:
        ValueError: two built-in rows, or a row and an alias, have the same name.
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
        self.noun = noun
        self._kind = kind
        rows = tuple(rows)
        self._aliases = dict(aliases or {})
        check_unique(noun, [*(row.name for row in rows), *self._aliases])
        self._rows = {row.name: row for row in rows}
        self._built_in = frozenset(self._rows)
        self._plugins: dict[str, list[EntryPoint]] | None = None

    def __getitem__(self, name: str) -> Row:
        """Return the row called *name*, or whose alias it is.

        Raises:
            UnknownNameError: no row has this name. PluginError: the package that adds it cannot be
            imported or adds something else, or several packages add this name.
        """
        name = self._aliases.get(name, name)
        row = self._rows.get(name)
        if row is not None:
            return row
        match self._entry_points().get(name, []):
            case []:
                raise UnknownNameError(self._unknown(name))
            case [point]:
                return self._load(point)
            case points:
                packages = " and ".join(map(_distribution, points))
                raise PluginError(
                    f"{packages} both add the {self.noun} {name!r}: uninstall one of them"
                )

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
        built_in = [name for name in self._rows if name in self._built_in]
        return [*built_in, *sorted(self._entry_points().keys() - self._built_in)]

    def entries(self) -> list[Entry]:
        """Return every row with its origin, importing every plugin."""
        entries = [Entry(name, BUILT_IN) for name in self.names() if name in self._built_in]
        for name, points in sorted(self._entry_points().items()):
            error = self._plugin_error(name)
            entries += [Entry(name, _distribution(point), error) for point in points]
        return entries

    def _plugin_error(self, name: str) -> PluginError | None:
        if name in self._built_in or name in self._aliases:
            packages = " and ".join(map(_distribution, self._entry_points()[name]))
            return PluginError(
                f"codeclm already has a {self.noun} {name!r}; rename the one in {packages}"
            )
        try:
            self[name]
        except PluginError as error:
            return error
        return None

    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        if self._plugins is None:
            self._plugins = {}
            for point in entry_points(group=self.group):
                self._plugins.setdefault(point.name, []).append(point)
        return self._plugins

    def _load(self, point: EntryPoint) -> Row:
        where = f"{_distribution(point)}: entry point {self.group}: {point.name} = {point.value}"
        try:
            row: Any = point.load()
            is_row = self._is_row(row) and row.name == point.name
        except (Exception, SystemExit) as error:  # whatever the package's own code raises
            raise PluginError(f"{where}: cannot be imported: {error!r}") from error
        if not is_row:
            raise PluginError(f"{where}: must be {self._expected()} with the name {point.name!r}")
        self._rows[point.name] = row
        return self._rows[point.name]

    def _is_row(self, value: object) -> bool:
        if self._holds_classes():
            return isinstance(value, type) and issubclass(value, self._kind)
        return isinstance(value, self._kind)

    def _holds_classes(self) -> bool:
        """Whether the rows are classes, as the built-in ones are, and not instances."""
        return any(isinstance(self._rows[name], type) for name in self._built_in)

    def _expected(self) -> str:
        kind = self._kind.__name__
        if self._holds_classes():
            return f"a subclass of {kind}"
        return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"

    def _unknown(self, name: str) -> str:
        names = self.names()
        near = get_close_matches(name, [*names, *self._aliases], n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"unknown {self.noun} {name!r}: {hint}available: {', '.join(names)}"


def check_unique(noun: str, names: Iterable[str]) -> None:
    """Check that no two *names* are the same.

    Raises:
        ValueError: two are; the message calls them *noun*.
    """
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise ValueError(f"two {noun}s have the name {repeated[0]!r}: rename one of them")


def _distribution(point: EntryPoint) -> str:
    """Return the name and version of the distribution that declares *point*."""
    return "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
