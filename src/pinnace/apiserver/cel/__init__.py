"""CEL: the language of conditions and policies, read and checked as cel-go does; expressions are not evaluated here."""

from pinnace.apiserver.cel.compiling import complaint, value_type
from pinnace.apiserver.cel.issues import CompilationError

__all__ = ["CompilationError", "complaint", "value_type"]
