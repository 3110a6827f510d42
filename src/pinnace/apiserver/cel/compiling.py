"""Whether an expression of the API compiles to a value of the type its field asks for (upstream apiserver pkg/admission/plugin/cel).

Complaints are texts for the error of the field.
"""

from collections.abc import Sequence

from pinnace.apiserver.cel.checker import check
from pinnace.apiserver.cel.declarations import Environment
from pinnace.apiserver.cel.issues import CompilationError
from pinnace.apiserver.cel.parser import parse
from pinnace.apiserver.cel.types import Type


def value_type(expression: str, environment: Environment) -> Type:
    """Return the type of an expression's value.

    Raises:
        CompilationError: it does not compile.
    """
    return check(expression, parse(expression, binds=environment.binds), environment)


def complaint(expression: str, environment: Environment, wanted: Sequence[Type]) -> str | None:
    """Return what is wrong with an expression that must give a value of one of these types, None when it is right."""
    try:
        found = value_type(expression, environment)
    except CompilationError as error:
        return f"compilation failed: {error}"
    if found in wanted:
        return None
    if len(wanted) == 1:
        return f"must evaluate to {wanted[0]} but got {found}"
    return f"must evaluate to one of [{' '.join(str(one) for one in wanted)}] but got {found}"
