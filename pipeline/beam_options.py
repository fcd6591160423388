"""Options of Beam that follow ours on a command line: what is known, given, and whose it is."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import UserError


@dataclass(frozen=True, slots=True)
class BeamOptions:
    """What a user says to Beam."""

    words: tuple[str, ...] = ()
    """As on the command line."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Value by the name that Beam keeps it under; what was not given is not in it."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """Beam's group of each given option, such as `FlinkRunnerOptions`."""

    def get(self, name: str, default: Any = None) -> Any:
        """The value given, or a default."""
        return self.given.get(name, default)


def parse_beam_options(words: Sequence[str]) -> BeamOptions:
    """Read Beam's options. Raises `UserError` for one that Beam would drop with a warning only."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    owners: dict[str, str] = {}
    for group in sorted(PipelineOptions.__subclasses__(), key=lambda group: group.__name__):
        if group.__module__.startswith("apache_beam.options"):
            group._add_argparse_args(parser)
            for name in vars(parser.parse_known_args([])[0]):
                owners.setdefault(name, group.__name__)
    # What is there already is not given its default.
    blank = argparse.Namespace(**dict.fromkeys(owners))
    try:
        known, unknown = parser.parse_known_args(list(words), blank)
    except argparse.ArgumentError as e:
        raise UserError(f"Beam option {e.argument_name}: {e.message}") from e
    if unknown:
        raise UserError(
            f"{unknown[0]}: neither an option of this command nor of Beam; see --help, and the "
            "Beam documentation of your runner"
        )
    given = {name: value for name, value in vars(known).items() if value is not None}
    return BeamOptions(tuple(words), given, {name: owners[name] for name in given})
