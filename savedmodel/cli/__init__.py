"""`savedmodel COMMAND …`: arguments and output of every command. It refuses to do the work itself, and imports it when a command runs.

Results go to stdout, messages to stderr. Exit status: 0 well, 1 something was found or failed, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line. Returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    from savedmodel.errors import SavedModelError

    try:
        return args.run(args)
    except (SavedModelError, OSError) as error:
        if args.json:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        print(f"savedmodel {args.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="savedmodel", description="Look at, check, run and convert TensorFlow SavedModels, without TensorFlow.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, help: str, run: Any, path: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        if path:
            sub.add_argument("path", nargs="?", help="SavedModel directory, its .pb, or an archive")
            sub.add_argument("--dir", dest="dir", help="the same (as in saved_model_cli)")
        sub.add_argument("--json", action="store_true", help="machine-readable output")
        sub.set_defaults(run=run)
        return sub

    show = command("show", "what a model holds: tag sets, signatures, inputs and outputs", _show)
    show.add_argument("--all", action="store_true", help="everything")
    show.add_argument("--tag_set", help="tags, comma-separated")
    show.add_argument("--signature_def", help="one signature")
    verify = command("verify", "check the fingerprint, the checksum of every tensor, and the assets", _verify)
    verify.set_defaults(run=_verify)
    ops = command("ops", "which ops the model uses, and which are not known here", _ops)
    ops.set_defaults(run=_ops)
    weights = command("weights", "names, shapes and dtypes of the variables", _weights)
    weights.set_defaults(run=_weights)
    run = command("run", "run a signature on arrays", _run)
    run.add_argument("--signature_def", default="serving_default")
    run.add_argument("--tag_set", help="tags, comma-separated")
    run.add_argument("--inputs", default="", help="name=file.npy[;name=file.npz[key]…]")
    run.add_argument("--input_exprs", default="", help="name=literal[;…]: numbers and nested lists, never evaluated")
    run.add_argument("--outdir", help="write each output as NAME.npy here")
    convert = command("convert", "write the model as .keras, .h5, .weights.h5, .safetensors or .npz", _convert)
    convert.add_argument("out", help="the file to write; its ending names the format")
    convert.add_argument("--keras", type=int, choices=(2, 3), default=3, help="the Keras that shall read a .keras file")
    convert.add_argument("--no-compile", action="store_true", help="leave out loss, metrics and optimizer")
    demo = command("demo", "train, save, revive without the classes, and train on, on handwritten digits", _demo, path=False)
    demo.add_argument("--out", help="leave the model here")
    demo.add_argument("--epochs", type=int, default=8)
    demo.add_argument("--quiet", action="store_true", help="no training logs")
    return parser


def _path(args: argparse.Namespace) -> str:
    path = args.path or args.dir
    if not path:
        print(f"savedmodel {args.command}: expected the path of a SavedModel", file=sys.stderr)
        raise SystemExit(2)
    return path


def _print(args: argparse.Namespace, value: Any, text: str) -> None:
    print(json.dumps(value, indent=1, default=str) if args.json else text)


def _show(args: argparse.Namespace) -> int:
    from savedmodel.cli.show import show

    value, text = show(_path(args), args.tag_set, args.signature_def, args.all)
    _print(args, value, text)
    return 0


def _verify(args: argparse.Namespace) -> int:
    import savedmodel

    problems = savedmodel.open(_path(args)).verify()
    _print(args, {"problems": problems}, "\n".join(problems) or "all hashes and checksums agree")
    return 1 if problems else 0


def _ops(args: argparse.Namespace) -> int:
    from savedmodel.cli.show import ops

    value, text = ops(_path(args))
    _print(args, value, text)
    return 1 if value["missing"] else 0


def _weights(args: argparse.Namespace) -> int:
    from savedmodel.cli.show import weights

    value, text = weights(_path(args))
    _print(args, value, text)
    return 0


def _run(args: argparse.Namespace) -> int:
    from savedmodel.cli.run import run

    value, text = run(_path(args), args.signature_def, args.tag_set, args.inputs, args.input_exprs, args.outdir)
    _print(args, value, text)
    return 0


def _convert(args: argparse.Namespace) -> int:
    from savedmodel.convert import convert

    done = convert(_path(args), args.out, keras=args.keras, compile=not args.no_compile)
    what = f"{done['layers']} layers" if "layers" in done else f"{done['tensors']} tensors"
    _print(args, done, f"{done['path']}: {what}")
    return 0


def _demo(args: argparse.Namespace) -> int:
    from savedmodel.demo.run import demo

    return demo(args.out, args.epochs, 0 if args.quiet else 2)
