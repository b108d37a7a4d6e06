"""Load the configuration: one function that either returns it whole or says everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bot.config.build import built
from bot.config.crosscheck import problems as between_tables
from bot.config.defaults import FROM_ENVIRONMENT, filled
from bot.config.lines import Path as Place
from bot.config.lines import written
from bot.config.parse import names_in, parsed
from bot.config.parts import Config
from bot.config.problems import ConfigInvalid, ConfigProblem
from bot.config.text import Source, dotenv, read_source

DEFAULT_FILE = Path("config.toml")


def load(file: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of `file`.

    Without a file it is `config.toml` of the current folder, and when there is none, what `bot.config.defaults`
    says. `environ` (by default the process's) wins over the `.env` file of the same folder. Writes nothing.
    Raises ConfigInvalid with every problem.
    """
    named = file is not None
    file = DEFAULT_FILE if file is None else file
    problems: list[ConfigProblem] = []
    variables = {**dotenv(file.parent, problems), **(os.environ if environ is None else environ)}
    exists = named or os.path.lexists(file)
    source = read_source(file, variables) if exists else Source(file=file)
    source.problems[:0] = problems
    if source.values is None:
        raise ConfigInvalid(source.problems)
    values = filled(source.values, variables)
    told = {problem.key for problem in source.problems}  # what is missing in the environment is said once

    def report(path: Place, message: str) -> None:
        if written(path) not in told:
            variable = FROM_ENVIRONMENT.get(path)
            if variable is not None and path not in source.lines and variable in variables:
                message = f"{message} (this is the value of {variable})"
            source.problem(path, message)

    tables = parsed(values, report)
    for path, message in between_tables(tables, names_in(values)):
        report(path, message)
    if source.problems:
        raise ConfigInvalid(sorted(source.problems, key=lambda problem: (str(problem.file), problem.line or 0)))
    return built(tables, file.absolute().parent, file if exists else None)
