"""What can be typed: commands and their arguments."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from evoconv.cli.option_flags import add_option_flags
from evoconv.errors import ConfigError
from evoconv.evolution.catalogue import methods_for
from evoconv.recipes import recipes_of

_EXAMPLES = """\
examples:
  evoconv evolve digits --time 1m
  evoconv evolve images/ --time 10m --max-parameters 50k
  evoconv show runs/digits-async-20260101-120000
  evoconv predict runs/digits-async-20260101-120000 photo.png folder/
"""

_UNITS = "\nTimes are written 90s, 10m or 1h30m; counts 500 or 50k; sizes 2MB or 512KiB."


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; refuses abbreviations rather than guess."""

    def __init__(self, *arguments: object, **options: object) -> None:
        options |= {
            "allow_abbrev": False,
            "formatter_class": argparse.RawDescriptionHelpFormatter,
        }
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Raise ``ConfigError``."""
        raise ConfigError(f"{message.removeprefix('argument ')}; see {self.prog} --help")

    def known_flags(self) -> list[str]:
        """Return all flags, the hidden ones too."""
        return list(self._option_string_actions)


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a command line; the words decide how much its help shows."""
    parser = _RootParser(
        prog="evoconv",
        description="Evolves convolutional image classifiers that fit a budget.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"evoconv {_version()}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser, title="commands"
    )
    show_all = "--help-all" in words
    _add_evolve(commands, show_all=show_all)
    _add_transfer(commands, show_all=show_all)
    _add_pretrain(commands, show_all=show_all)
    _add_compress(commands, show_all=show_all)
    _add_resume(commands)
    _add_finish(commands)
    _add_show(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_retrain(commands)
    _add_export(commands)
    _add_compressed(commands)
    commands.add_parser("methods", help="list the methods of search")
    devices = commands.add_parser("devices", help="list the devices that networks can be fitted to")
    devices.add_argument("--device-file", metavar="FILE", help="a TOML file with more of them")
    parser.by_command = dict(commands.choices)
    return parser


class _RootParser(_Parser):
    """The parser of the whole line: it knows the commands, so it can guess at a misspelt flag."""

    by_command: dict[str, _Parser]

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Return what was typed; ``ConfigError`` in one sentence where it makes no sense."""
        words = list(sys.argv[1:] if args is None else args)
        parsed, unknown = self.parse_known_args(words, namespace)
        if unknown:
            known = self.by_command[parsed.command].known_flags()
            word = unknown[0].partition("=")[0]
            begun = [flag for flag in known if flag.startswith(word)]
            close = begun or difflib.get_close_matches(word, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"{parsed.command} doesn't know {unknown[0]}{hint}")
        return parsed


Commands = argparse._SubParsersAction  # the type has no public name


def _add_evolve(commands: "Commands[_Parser]", *, show_all: bool) -> None:
    parser = commands.add_parser(
        "evolve",
        help="evolve a network for a set of images",
        usage="evoconv evolve SOURCE [--time 10m] [--max-parameters 50k] [OPTION...]",
        description="Evolves a network for labelled images, trains it, tests it once and saves it."
        f"{_UNITS}",
        epilog=_more_options(show_all),
    )
    _add_source(parser)
    _add_method(parser, methods_for("evolve"))
    _add_recipe(parser, "evolve", "the method's own")
    _add_study(parser, "evolve", show_all=show_all)


def _add_transfer(commands: "Commands[_Parser]", *, show_all: bool) -> None:
    parser = commands.add_parser(
        "transfer",
        help="evolve how a pretrained network is used for a set of images",
        usage="evoconv transfer SOURCE --weights PRETRAINED [--time 10m] [OPTION...]",
        description="Evolves how much of a pretrained network is kept, what of it is frozen and how"
        " it\nlearns; trains the best for labelled images, tests it once and saves it."
        f"{_UNITS}",
        epilog=_more_options(show_all),
    )
    _add_source(parser)
    _add_method(parser, methods_for("transfer"))
    _add_study(parser, "transfer", show_all=show_all)


def _add_pretrain(commands: "Commands[_Parser]", *, show_all: bool) -> None:
    parser = commands.add_parser(
        "pretrain",
        help="train a whole network for a later transfer",
        usage="evoconv pretrain SOURCE [--backbone NAME] [--time 10m] [OPTION...]",
        description="Trains a backbone on labelled images, so that evoconv transfer can use it for"
        f" others.{_UNITS}",
        epilog=_more_options(show_all),
    )
    _add_source(parser)
    _add_study(parser, "pretrain", show_all=show_all)


def _add_compress(commands: "Commands[_Parser]", *, show_all: bool) -> None:
    parser = commands.add_parser(
        "compress",
        help="share the weights of a trained network, down to a small file",
        usage="evoconv compress MODEL SOURCE [--max-accuracy-drop 1] [--time 10m] [OPTION...]",
        description="Evolves how many different weights each layer of a trained network has, and"
        " writes the\nsmallest file that keeps its accuracy; tests it once."
        f"{_UNITS}",
        epilog=_more_options(show_all),
    )
    parser.add_argument(
        "network",
        metavar="MODEL",
        help="a run folder, the best/ of one, or a known network, trained first: lenet5,"
        " lenet5-tanh, resnet20, mobilenetv2, densenet121, …",
    )
    _add_source(parser)
    _add_method(parser, methods_for("compress"))
    _add_recipe(parser, "compress", "compress")
    _add_study(parser, "compress", show_all=show_all)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder or archive (.zip, .tar, .tar.gz) of class folders, a folder of IDX files,"
        " an .npz file, or digits, mnist, fashion-mnist, cifar10",
    )
    parser.add_argument("--help-all", action="help", help="show every option and exit")
    parser.add_argument("--out", metavar="FOLDER", help="run folder [a dated one under runs/]")


def _add_method(parser: argparse.ArgumentParser, names: list[str]) -> None:
    parser.add_argument(
        "--method",
        default="async",
        choices=names,
        metavar="NAME",
        help=f"how to search: {', '.join(names)} [async]; see evoconv methods",
    )


def _add_recipe(parser: argparse.ArgumentParser, command: str, usual: str) -> None:
    recipes = recipes_of(command)
    parser.add_argument(
        "--recipe",
        choices=recipes,
        metavar="NAME",
        help=f"defaults of all options: {', '.join(recipes)} [{usual}]",
    )


def _add_study(parser: argparse.ArgumentParser, command: str, *, show_all: bool) -> None:
    parser.add_argument(
        "--seed", type=int, metavar="N", help="fixes the random streams [drawn, and stored]"
    )
    _add_output(parser)
    add_option_flags(parser, command, show_all=show_all)


def _more_options(show_all: bool) -> str:
    return "" if show_all else "Every number of the recipes is an option: see --help-all."


def _add_resume(commands: "Commands[_Parser]") -> None:
    parser = commands.add_parser("resume", help="go on with a study where it stopped")
    _add_run(parser)
    parser.add_argument(
        "--time", metavar="TIME", help="time for this command [what is left of the study's own]"
    )
    parser.add_argument(
        "--evaluations", metavar="N", help="a new number of evaluations for the whole study"
    )
    parser.add_argument(
        "--generations", metavar="N", help="a new number of generations for the whole study"
    )
    _add_output(parser)


def _add_finish(commands: "Commands[_Parser]") -> None:
    parser = commands.add_parser(
        "finish",
        help="train, test and save another network of a study, such as one of its Pareto front",
    )
    _add_run(parser)
    parser.add_argument(
        "--trial", type=_whole, required=True, metavar="N", help="number of the trial"
    )
    parser.add_argument(
        "--time", metavar="TIME", help="time for this command [as long as it needs]"
    )
    parser.add_argument(
        "--repeats", type=_at_least_one, default=1, metavar="N", help="how many trainings [1]"
    )
    _add_output(parser)


def _add_show(commands: "Commands[_Parser]") -> None:
    parser = commands.add_parser(
        "show", help="print a study from its folder, finished or not, and draw its plot"
    )
    _add_run(parser)
    parser.add_argument(
        "--trials", type=_whole, default=5, metavar="N", help="how many of the best trials [5]"
    )
    parser.add_argument(
        "--pick",
        metavar="WHICH",
        help="look at another network than the best: a trial's number, or conditions on the Pareto"
        " front such as parameters<5k or macs<1M,accuracy>98",
    )
    parser.add_argument("--json", action="store_true", help="print result.json, nothing else")


def _add_predict(commands: "Commands[_Parser]") -> None:
    parser = commands.add_parser("predict", help="label images with a saved network")
    _add_run(parser)
    parser.add_argument("paths", metavar="IMAGE", nargs="+", help="an image, or a folder of images")
    parser.add_argument(
        "--top", type=_whole, default=2, metavar="N", help="how many classes per image [2]"
    )
    parser.add_argument(
        "--skip-bad-images", action="store_true", help="go on without images that can't be read"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV; probabilities in [0, 1]")
    form.add_argument("--json", action="store_true", help="print JSON; probabilities in [0, 1]")


def _add_evaluate(commands: "Commands[_Parser]") -> None:
    parser = commands.add_parser("evaluate", help="test a saved network on other labelled images")
    _add_run(parser)
    parser.add_argument("source", metavar="SOURCE", help="labelled images, as for evolve")
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")


def _add_retrain(commands: "Commands[_Parser]") -> None:
    parser = commands.add_parser(
        "retrain",
        help="train the network found again, and compare that with its evolved weights",
    )
    _add_run(parser)
    parser.add_argument(
        "--from-scratch",
        action="store_true",
        help="begin with new weights [go on from the evolved ones]",
    )
    parser.add_argument(
        "--repeats", type=_at_least_one, default=1, metavar="N", help="how many trainings [1]"
    )
    parser.add_argument("--trial", type=_whole, metavar="N", help="another trial [the chosen one]")
    parser.add_argument(
        "--time", metavar="TIME", help="time for this command [as long as it needs]"
    )
    _add_output(parser)


def _add_export(commands: "Commands[_Parser]") -> None:
    parser = commands.add_parser("export", help="write a saved network in a form for elsewhere")
    _add_run(parser)
    parser.add_argument("--format", default="onnx", metavar="NAME", help="onnx [onnx]")
    parser.add_argument("--out", metavar="FILE", help="the file [best/model.onnx in RUN]")


def _add_compressed(commands: "Commands[_Parser]") -> None:
    inspect = commands.add_parser("inspect", help="show what is in a compressed network's file")
    inspect.add_argument("file", metavar="FILE", help="a .evo file")
    inspect.add_argument("--json", action="store_true", help="print JSON, nothing else")
    decompress = commands.add_parser("decompress", help="write such a file's tensors for others")
    decompress.add_argument("file", metavar="FILE", help="a .evo file")
    decompress.add_argument(
        "--out", "-o", metavar="FILE", required=True, help="the .safetensors file"
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument(
        "--json", action="store_true", help="print result.json, and progress on standard error"
    )


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return number


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _version() -> str:
    try:
        return version("evoconv")
    except PackageNotFoundError:
        return "(not installed)"
