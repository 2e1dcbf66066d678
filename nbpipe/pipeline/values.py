"""Types of parameters, from annotations and literals, and whether a value fits. Failures are `ValueError`."""

from __future__ import annotations

import ast
import math
import re
from typing import Any, NamedTuple

import msgspec

_LARGEST = 1_000_000
_LONGEST_INT = 40
_INTEGER = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*")
_ROUND = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?[eE]\+?[0-9]{1,2}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_NONE = ("none", "null")
_WORDS = {
    "int": "an int",
    "float": "a float",
    "str": "a text",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
}
_TYPES = {
    "int": "int", "float": "float", "str": "str", "bool": "bool", "list": "list", "dict": "dict",
    "List": "list", "Sequence": "list", "tuple": "list", "Tuple": "list", "Dict": "dict", "Mapping": "dict",
}  # fmt: skip


class Declared(NamedTuple):
    """The type of a parameter, in the words of `model.Param`."""

    type: str
    choices: tuple[Any, ...] | None = None
    optional: bool = False


def type_of(value: Any) -> str:
    """The type that a literal value suggests."""
    if value is None:
        return "none"
    return {bool: "bool", int: "int", float: "float", str: "str", dict: "dict"}.get(type(value), "list")


def annotated_type(node: ast.expr) -> Declared | None:
    """The type that an annotation says; None when it is not one that parameters know."""
    match node:
        case ast.Constant(value=None):
            return Declared("none", optional=True)
        case ast.Constant(value=str(text)):
            try:
                return annotated_type(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                return None
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return Declared(_TYPES[name]) if name in _TYPES else None
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _either([left, right])
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _subscript(name, inner)
        case _:
            return None


def _subscript(name: str, inner: ast.expr) -> Declared | None:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Literal":
        try:
            choices = tuple(ast.literal_eval(part) for part in parts)
        except (ValueError, TypeError):
            return None
        if not all(choice is None or isinstance(choice, (bool, int, str)) for choice in choices):
            return None
        return Declared("choice", choices, None in choices)
    if name == "Optional":
        return _either([inner, ast.Constant(value=None)])
    if name == "Union":
        return _either(parts)
    if name == "Annotated":
        return annotated_type(parts[0])
    return Declared(_TYPES[name]) if _TYPES.get(name) in ("list", "dict") else None


def _either(parts: list[ast.expr]) -> Declared | None:
    kinds = [annotated_type(part) for part in parts]
    real = [kind for kind in kinds if kind is not None and kind.type != "none"]
    optional = any(kind is not None and kind.optional for kind in kinds)
    if None in kinds or len(real) != 1:
        return Declared("any", optional=optional)
    return Declared(real[0].type, real[0].choices, optional)


def is_plain(value: Any) -> bool:
    """Whether JSON carries the value: None, bool, 64-bit int, finite float, text, and lists and objects of these."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, (list, tuple)):
        return all(is_plain(item) for item in value)
    return isinstance(value, dict) and all(isinstance(key, str) and is_plain(item) for key, item in value.items())


def check_value(param: Any, value: Any) -> Any:
    """The value, when it fits the parameter (`model.Param`); an int becomes a float where one is declared."""
    try:
        plain = is_plain(value)
        size = len(msgspec.json.encode(value)) if plain else 0
    except RecursionError:
        raise ValueError("the value is nested too deeply") from None
    if not plain:
        raise ValueError(
            f"{ascii(value)[:80]} cannot travel as JSON: finite numbers, 64-bit integers, texts, lists, objects can"
        )
    if size > _LARGEST:
        raise ValueError(f"the value has {size} bytes, and {_LARGEST} are allowed; pass the path of a file instead")
    if value is None and param.optional:
        return None
    if param.type == "choice":
        if not any(value == choice and type(value) is type(choice) for choice in param.choices or ()):
            raise ValueError(f"{ascii(value)[:80]} is not one of {', '.join(map(repr, param.choices or ()))}")
        return value
    if param.type == "float" and type(value) is int:
        return float(value)
    if param.type in _WORDS and type_of(value) != param.type:
        raise ValueError(f"{ascii(value)[:80]} is not {_WORDS[param.type]}")
    return value


def coerce_text(param: Any, text: str) -> Any:
    """What a text from the command line means for the parameter; the result is still to be checked."""
    word = text.strip()
    if param.optional and word.lower() in _NONE:
        return None
    if len(text) > _LARGEST:
        raise ValueError(f"the value has more than {_LARGEST} bytes; pass the path of a file instead")
    match param.type:
        case "str":
            return text
        case "int":
            return _integer(word)
        case "float":
            if not _FLOAT.fullmatch(word):
                raise ValueError(f"{ascii(text)[:80]} is not a float")
            return float(word)
        case "bool":
            if word.lower() not in _TRUE + _FALSE:
                raise ValueError(f"{ascii(text)[:80]} is not true or false")
            return word.lower() in _TRUE
        case "choice":
            return next((choice for choice in param.choices if str(choice) == text), text)
        case _:
            return _json(text, strict=param.type in ("list", "dict"))


def _integer(word: str) -> int:
    if _INTEGER.fullmatch(word) and len(word) <= _LONGEST_INT:
        return int(word)
    if _ROUND.fullmatch(word) and math.isfinite(float(word)) and float(word).is_integer():
        return int(float(word))
    raise ValueError(f"{ascii(word)[:80]} is not an int")


def _json(text: str, *, strict: bool) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        if strict:
            raise ValueError(f'{ascii(text)[:80]} is not JSON such as [1, 2] or {{"a": 1}}') from None
        return text
