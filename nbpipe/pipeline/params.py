"""Parameters: what the %%params cells declare, and the values a run gives them. Nothing is executed.

A value travels as JSON: 64-bit integers, finite floats (`nan` and `inf` are refused, write `None` and handle it),
texts, booleans, lists and objects, 1 MB at most.
"""

from __future__ import annotations

import ast
import io
import tokenize
from typing import TYPE_CHECKING, Any

from nbpipe.errors import GrammarError, ParameterError
from nbpipe.model import Param
from nbpipe.notebook.quantities import did_you_mean
from nbpipe.pipeline.values import Declared, annotated_type, check_value, coerce_text, is_plain, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbpipe.model import Code, Outline, Stage

#: Names that annotations of a params cell may use without an import.
TYPING_NAMES = ("Annotated", "Any", "Dict", "List", "Literal", "Optional", "Union")

_COMPUTED = object()


def extract_params(outline: Outline) -> tuple[tuple[Param, ...], dict[str, dict[str, Any]]]:
    """The declared parameters in order, and each profile's values. Raises `GrammarError` with cell and line."""
    found: dict[str, Param] = {}
    for code in outline.params:
        for name, annotation, value, node in _assignments(code):
            param = _declare(code, name, annotation, value, node)
            found[name] = param
    params = tuple(found.values())
    return params, {name: _profile(name, code, found) for name, code in outline.profiles.items()}


def resolve_params(
    params: tuple[Param, ...],
    overrides: Mapping[str, Any],
    profile: str | None,
    profiles: Mapping[str, Mapping[str, Any]],
    *,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The overridden names and their checked values: `earlier` ones, then the profile, then `overrides`.

    Texts among the `overrides` are read by type.
    Raises `ParameterError`: unknown name or profile, wrong type, not a choice, too large, or a required one missing.
    """
    known = {param.name: param for param in params}
    if profile is not None and profile not in profiles:
        names = ", ".join(profiles) or "none"
        fix = did_you_mean(profile, profiles) or f"The notebook's profiles: {names}."
        raise ParameterError(f"there is no profile {profile!a}", name=profile, fix=fix)
    values = {name: _checked(known[name], value, text=False) for name, value in (earlier or {}).items()}
    values |= profiles[profile] if profile is not None else {}
    for name, value in overrides.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ParameterError(f"{str(name)[:80]!a} is not the name of a parameter", name=str(name))
        param = known.get(name)
        if param is None:
            names = ", ".join(known) or "none; declare them in a %%params cell"
            fix = did_you_mean(name, known) or f"The notebook's parameters: {names}."
            raise ParameterError(f"there is no parameter '{name}'", name=name, fix=fix)
        values[name] = _checked(param, value)
    missing = [param.name for param in params if param.required and param.name not in values]
    if missing:
        raise ParameterError(
            f"a value is missing for {', '.join(missing)}", name=missing[0], fix=f"Add -p {missing[0]}=VALUE."
        )
    return values


def effective_params(params: tuple[Param, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter's value in a run; those computed by the params cell only where they are overridden."""
    return {
        param.name: values.get(param.name, param.default)
        for param in params
        if param.name in values or not (param.required or param.type == "computed")
    }


def unread(params: tuple[Param, ...], stages: tuple[Stage, ...]) -> list[Param]:
    """The parameters that no stage reads, nor its setup, nor what it defines."""
    read = {name for stage in stages for name in stage.flow.params}
    return [param for param in params if param.name not in read]


def unread_warning(param: Param) -> str:
    """What a run says of such a parameter."""
    place = f"cell {param.cell}, line {param.line}"
    return f"no stage reads the parameter '{param.name}' ({place}): setting it changes nothing"


def _checked(param: Param, value: Any, *, text: bool = True) -> Any:
    """The value; a text is what was typed, or with `text` False the value itself."""
    try:
        return check_value(param, coerce_text(param, value) if text and isinstance(value, str) else value)
    except ValueError as error:
        raise ParameterError(f"parameter '{param.name}': {error}", name=param.name, fix=_expected(param)) from None


def _expected(param: Param) -> str:
    if param.choices is not None:
        return f"It is one of {', '.join(map(repr, param.choices))}."
    return f"It is declared as {param.type} in cell {param.cell}, line {param.line}."


def _declare(code: Code, name: str, annotation: ast.expr | None, value: Any, node: ast.stmt) -> Param:
    line = code.line + node.lineno - 1
    declared = annotated_type(annotation) if annotation is not None else None
    required = value is None and isinstance(node, ast.AnnAssign) and node.value is None
    literal = value is not _COMPUTED and not required
    if declared is None:
        declared = Declared(type_of(value) if literal else "any" if required else "computed")
    elif not literal and not required:
        declared = Declared("computed", declared.choices, declared.optional)
    if literal and value is None:
        declared = Declared(declared.type, declared.choices, optional=True)
    param = Param(
        name=name,
        type=declared.type,
        default=value if literal else None,
        choices=declared.choices,
        optional=declared.optional,
        required=required,
        help=_comment(code.body, node),
        cell=code.cell,
        line=line,
    )
    if literal:
        try:
            check_value(param, value)
        except ValueError as error:
            raise GrammarError(
                f"parameter '{name}': its default does not fit: {error}",
                cell=code.cell,
                line=line,
                name=name,
                fix="Change the value or the annotation.",
            ) from None
    return param


def _profile(profile: str, code: Code, known: Mapping[str, Param]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, _, value, node in _assignments(code, only=f"profile '{profile}'"):
        line = code.line + node.lineno - 1
        if name not in known:
            fix = did_you_mean(name, known) or "Declare it in the %%params cell first."
            raise GrammarError(
                f"profile '{profile}' sets '{name}', which is not a parameter",
                cell=code.cell,
                line=line,
                name=name,
                fix=fix,
            )
        try:
            if value is _COMPUTED:
                raise ValueError("a profile gives literal values only")  # noqa: TRY301 - joins the errors of check_value
            values[name] = check_value(known[name], value)
        except ValueError as error:
            raise GrammarError(
                f"profile '{profile}', '{name}': {error}",
                cell=code.cell,
                line=line,
                name=name,
                fix=_expected(known[name]),
            ) from None
    return values


def _assignments(code: Code, *, only: str = "") -> Iterator[tuple[str, ast.expr | None, Any, ast.stmt]]:
    """Name, annotation, literal value or `_COMPUTED`, statement, for each name assigned at the top of the cell."""
    try:
        body = ast.parse(code.body).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        row = error.lineno if isinstance(error, SyntaxError) and error.lineno else 1
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise GrammarError(
            f"a params cell is plain Python: {reason}",
            cell=code.cell,
            line=code.line + row - 1,
            fix="Move shell lines and magics to a %%setup cell.",
        ) from None
    for node in body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=None):
                yield name, annotation, None, node
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                yield name, annotation, _literal(value), node
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from ((name, None, part, node) for name, part in _unpacked(target, value))
            case ast.AugAssign(target=ast.Name(id=name)) if not only:
                yield name, None, _COMPUTED, node
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _ if only:
                raise GrammarError(
                    f"{only} may only assign values to parameters", cell=code.cell, line=code.line + node.lineno - 1
                )
            case _:
                pass


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, Any]]:
    if isinstance(target, ast.Name):
        yield target.id, _literal(value)
    elif isinstance(target, (ast.Tuple, ast.List)):
        parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
        starred = any(isinstance(item, ast.Starred) for item in (*target.elts, *parts))
        if len(parts) == len(target.elts) and not starred:
            for inner, part in zip(target.elts, parts, strict=True):
                yield from _unpacked(inner, part)
        else:
            names = (
                node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            )
            yield from ((name, _COMPUTED) for name in names)


def _literal(node: ast.expr) -> Any:
    """The literal's value, or `_COMPUTED` for anything that JSON cannot carry."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _COMPUTED
    return value if is_plain(value) else _COMPUTED


def _comment(body: str, node: ast.stmt) -> str:
    """The comment at the end of the statement's last line."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(body).readline):
            if token.type == tokenize.COMMENT and token.start[0] == node.end_lineno:
                return token.string.lstrip("#").strip()
    except (tokenize.TokenError, SyntaxError):
        return ""
    return ""
