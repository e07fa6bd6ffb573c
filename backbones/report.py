"""What became of every array of a foreign checkpoint."""

from dataclasses import dataclass, field

SHOWN = 5  # names per kind in the text


@dataclass
class LoadReport:
    """Lists of names: of the file's arrays, but `missing` of what the network wants, as the file would call it.

    used: loaded.  ignored: left out on purpose (a classifier, an optimiser's state).  missing: wanted, not in the file.
    wrong_shape: "name: (3, 3), not (1, 1)", the file's shape first.  unexpected: neither used nor known to be
    superfluous, so that the file is of another network.
    """

    used: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    wrong_shape: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Everything wanted was found, with its shape, and nothing is left that has no explanation."""
        return not (self.missing or self.wrong_shape or self.unexpected)

    def text(self) -> str:
        """A line for each kind that has any: how many, and the first names."""
        kinds = (
            ("used", self.used),
            ("ignored on purpose", self.ignored),
            ("missing", self.missing),
            ("wrong shape", self.wrong_shape),
            ("unexpected", self.unexpected),
        )
        return "\n".join(f"{len(names):4d} {kind}: {first_names(names)}" for kind, names in kinds if names)


def first_names(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
