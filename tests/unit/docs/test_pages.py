"""No page names a command, a target, a file, a setting or another page that is not there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from control_plane.cli import app
from tests import readme
from tests.markdown import PAGES, ROOT, blocks, links, read, spans

PIPELINES = typer.main.get_command(app)
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.MULTILINE))
SETTINGS = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", read("docs/settings.md")))
PREFIXES = {name.split("_")[0] for name in SETTINGS}

_COMMAND = re.compile(r"(?:^|[\s/(])(pipelines|make)(?![\w./:-])([^|;&)]*)")


def typed(line):
    """Yield the words of each command of ours in a line of a console, or in a span of prose."""
    for program, rest in _COMMAND.findall(line.replace("-n pipelines ", "")):  # the namespace
        if rest == "" or rest[0] == " ":
            yield program, shlex.split(rest if rest.count("'") % 2 == 0 else rest.replace("'", ""))


def complaint(words, *, whole):
    """Return what is wrong with a command of `pipelines`; ``whole``: all that it needs must be there."""
    command = PIPELINES
    words = list(words)
    while hasattr(command, "commands"):
        while words and words[0].startswith("-"):
            if words.pop(0) not in options(command):
                return f"{command.name} has no such option"
        if not words:
            return None
        name = words.pop(0)
        if name not in command.commands:
            return f"there is no command {name}"
        command = command.commands[name]
    return wrong_arguments(command, words, whole=whole)


def options(command):
    """Return a command's options by their names: whether each is a flag."""
    found = {
        name: one.is_flag for one in command.params if one.param_type_name == "option" for name in one.opts
    }
    return found | {"--help": True}


def wrong_arguments(command, words, *, whole):
    known, positional = options(command), 0
    words = iter(words)
    for word in words:
        if word.startswith(">"):
            break
        if word.startswith("-") and word != "-":
            name, _, value = word.partition("=")
            if name not in known:
                return f"{command.name} has no option {name}"
            if not known[name] and not value and next(words, None) is None and whole:
                return f"{command.name} {name} lacks its value"
        elif word != "…":
            positional += 1
    wanted = [one for one in command.params if one.param_type_name == "argument"]
    if positional > len(wanted) and all(one.nargs == 1 for one in wanted):
        return f"{command.name} takes no {positional} arguments"
    if whole and positional < sum(one.required for one in wanted):
        return f"{command.name} needs more arguments"
    return None


def commands(page):
    text = read(page)
    for line in (line for block in blocks(text) for line in block.commands):
        yield from ((line, program, words, True) for program, words in typed(line))
    for span in spans(text):
        if span.startswith(("pipelines", "make", ".venv/bin/pipelines")):
            yield from ((span, program, words, False) for program, words in typed(span))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_on_a_page_is_one(page):
    for line, program, words, whole in commands(page):
        if program == "pipelines":
            assert complaint(words, whole=whole) is None, line
        else:
            assert {word for word in words if "=" not in word} <= TARGETS, line


def test_pages_are_found_and_so_are_their_commands():
    assert {Path("README.md"), Path("docs/operating.md"), Path("k8s/README.md")} <= set(PAGES)
    assert len({tuple(words) for page in PAGES for _, _, words, _ in commands(page)}) > 30


def test_what_the_readme_types_is_typed_by_a_story_or_by_ci_unless_a_reason_is_given():
    typed_by = readme.commands()  # raises for a line that is not known
    assert {readme.STORY, readme.COMPOSE, readme.CI} <= set(typed_by.values())
    ci = read(readme.CI)
    assert [line for line in readme.typed_by(readme.CI) if line not in ci] == []


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["statuss"], True),
        (["status", "--jsonn"], True),
        (["status", "now"], True),
        (["train"], True),
        (["watch", "batch"], True),
        (["--debugg", "status"], True),
        (["simulate", "traffic", "--rate"], True),
        (["train", "batch-003", "--accept-profile"], False),
        (["--debug", "audit", "predictions", "--json"], False),
        (["simulate", "batch", "batch-001", "--rows=10"], False),
        (["watch"], False),
        ([], False),
    ],
)
def test_a_wrong_command_would_be_found(words, wrong):
    assert (complaint(words, whole=True) is not None) is wrong


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page):
    for link in links(read(page)):
        if not link.startswith(("http://", "https://", "#")):
            assert ((ROOT / page).parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_is_named_is_there(page):
    for span in spans(read(page)):
        if re.fullmatch(r"(control_plane|spark_apps|tests|docs|k8s)/[\w./-]+", span):
            assert (ROOT / span).exists(), span


@pytest.mark.parametrize("page", [page for page in PAGES if page.parts[0] == "docs"], ids=str)
def test_every_setting_that_is_named_is_there(page):
    for span in spans(read(page)):
        name = span.removesuffix("…")
        if re.fullmatch(r"[A-Z0-9]+_[A-Z_]+", name) and name.split("_")[0] in PREFIXES:
            known = name in SETTINGS if name == span else any(one.startswith(name) for one in SETTINGS)
            assert known, span


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_is_quoted_stands_in_its_file(page):
    for block in blocks(read(page)):
        if block.mark == "quoted":
            assert block.text in read(block.name), block.name
