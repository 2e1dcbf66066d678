"""Five hundred texts that break what is put together from texts: quotes, templates, shells, YAML, control characters."""

from __future__ import annotations

import itertools

from nbpipe.export.base import Deployment, Exporter
from nbpipe.model import Code, Options, Param, Pipeline, Stage
from nbpipe.pipeline.codec import stamped

_SEEDS = (
    "'", '"', "'''", '"""', "\\", "\\'", "\n", "\r\n", "\t", "\0", "\x1b[31m", "\x7f", "\u2028", "\u202e", "\ud800",
    "é", "日本語", "🦀", "a" * 3000, " ", "", "#", "# noqa", "%", "%s", "%(x)s", "{}", "{0}", "{x}", "{{ x }}", "{% x %}",
    "{{ conn.secret.password }}", "{0.__class__.__mro__}", "${HOME}", "$HOME", "$(touch /tmp/x)", "`touch /tmp/x`", "; rm -rf /",
    "&& reboot", "| sh", "> /etc/passwd", "!ls", "*", "~", "-rf", "--help", "../../x", "/etc/passwd", "C:\\x", "file:///x",
    "null", "~", "true", "yes", "no", "on", "1e3", "0x10", "010", "1_000", ".inf", ".nan", "2020-01-01", "=", "<<", "&a", "*a",
    "!!python/object/apply:os.system ['x']", "!!binary aGk=", "- a", "a: b", "? a", "[a]", "{a: b}", "---", "...", "%YAML 1.1",
    "@x", ",", "a #b", " a", "a ", "'a", "|", ">", "|-\n x", "<script>alert(1)</script>", "]]>", "<!--", "__import__('os')",
    "');import os;os.system('x');('", '");import os;os.system("x");("', "\\N{BULLET}", "\\x41", "\\u0041", "\\", "a\\",
    "f'{1}'", "b''", "lambda: 0", "eval('1')", "exec('1')", "\ufeff", "\xa0", "ﬁ", "İ", "ß", "\u0000a", "a\nb: c", "a\n  - b",
    "{{workflow.parameters.x}}", "{{=1+1}}", "${{ secrets.X }}", "${{ github.token }}", "::set-output name=x::y", "%n", "%%",
    "{wildcards.x}", "{input:q}", "{params.x}", "${params.x}", "${item}", "$$", "$${x}", "\\${x}", "{", "}", "{{", "}}",
)  # fmt: skip


def hostile() -> list[str]:
    """The same five hundred every time. Without lone surrogates: no notebook in UTF-8 holds one."""
    seeds = [text for text in dict.fromkeys(_SEEDS) if not any("\ud800" <= c <= "\udfff" for c in text)]
    pairs = (a + b for a, b in itertools.product(seeds, seeds) if a != b and len(a) + len(b) < 200)
    mixed = itertools.islice((text for n, text in enumerate(pairs) if n % 29 == 0), 1000)
    return list(dict.fromkeys([*seeds, *mixed]))[:500]


def hostile_deployment(texts: tuple[str, ...], exporter: Exporter) -> Deployment:
    """A pipeline with a text in each place: its name, a default, a description, a variable, an image, a choice."""
    name, default, text_help, env, image, choice = texts
    params = (
        Param(name="p", type="str", default=default, help=text_help),
        Param(name="q", type="choice", default=choice, choices=(choice, f"{choice}2")),
        Param(name="r", type="dict", default={default: [choice, -1, 0.5, None, True]}),
    )
    # Where the code itself is written, it is code that holds the text.
    body, told = (f"{name!r}", {}) if exporter.name == "script" else (name, {"E": env})
    options = Options(env=told, image=image or None if "image" in exporter.carries else None)
    stages = (
        Stage(name="one", kind="stage", cells=(Code(cell=1, body=body),), options=options),
        Stage(name="two", kind="check", cells=(Code(cell=2, body=body),), after=("one",)),
    )
    return Deployment(
        pipeline=stamped(Pipeline(name=name, version="", stages=stages, params=params)),
        order={"one": (), "two": ("one",)},
        params=params,
        image=(image or "i") if "--image" in exporter.carries else None,
        schedule="0 0 * * *" if "--schedule" in exporter.carries else None,
        store="s3://bucket/x" if exporter.remote else "",
        project=None if exporter.remote else "../..",
        secrets=("API_TOKEN",) if "secrets" in exporter.carries else (),
    )
