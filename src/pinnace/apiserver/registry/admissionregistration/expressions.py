"""Expressions of webhooks and policies, refused when they do not compile (upstream pkg/apis/admissionregistration/validation)."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from pinnace.api.admissionregistration_v1 import ParamKind, Variable
from pinnace.apiserver.cel import CompilationError, complaint, value_type
from pinnace.apiserver.cel.declarations import Environment
from pinnace.apiserver.cel.environments import admission, with_patches, with_variables
from pinnace.apiserver.cel.types import DYN, Type
from pinnace.machinery.field import FieldError, Path, invalid

# What a byte of an expression costs: compiling takes some 7 µs of it, and the event loop is held for a few milliseconds at most.
WEIGHT = 128


class PolicyEnvironments(Struct, frozen=True):
    """What the expressions of one policy may name.

    Attributes:
        conditions: for match conditions, which are looked at before there are variables.
        expressions: for whatever decides or changes.
        messages: for messages, which may not ask the authorizer.
        variable_complaints: by their place, what is wrong with variables.
    """

    conditions: Environment
    expressions: Environment
    messages: Environment
    variable_complaints: Mapping[int, str]


def expression_errors(expression: str, path: Path, environment: Environment, *wanted: Type) -> Iterator[FieldError]:
    """Check that an expression compiles to a value of one of the types wanted."""
    text = complaint(expression, environment, wanted)
    if text is not None:
        yield invalid(path, expression, text)


def policy_environments(
    kind: ParamKind | None, variables: Sequence[Variable], *, patches: bool = False
) -> PolicyEnvironments:
    """Return what a policy's expressions may name: its parameters if it has some, and its variables.

    A variable may name those before it. One that is wrong may be named all the same, and used for anything.
    """
    conditions = admission(params=kind is not None, authorizer=True)
    base = with_patches(conditions) if patches else conditions
    types: dict[str, Type] = {}
    complaints: dict[int, str] = {}
    for index, variable in enumerate(variables):
        try:
            found = value_type(variable.expression, with_variables(base, types))
        except CompilationError as error:
            complaints[index], found = f"compilation failed: {error}", DYN
        types[variable.name] = found
    messages = admission(params=kind is not None, authorizer=False)
    return PolicyEnvironments(conditions, with_variables(base, types), with_variables(messages, types), complaints)
