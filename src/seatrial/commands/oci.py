"""`seatrial oci`: images checked against the image specification."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.commands import FORMATS, explain, say, tell, verb
from seatrial.errors import Exit, SeatrialError

if TYPE_CHECKING:
    from seatrial.oci.image.rules import Report
    from seatrial.oci.image.validate import Wishes

_OCI = """\
Every broken rule has a code, its section in the specification and its level; nothing is unpacked.

exit codes: 0 done, 1 something is wrong with an image, 4 the request cannot be carried out
"""
_VALIDATE = """\
An image is the directory of a layout, an archive (OCI or `docker save`, plain, gzip or zstd), HOST[:PORT]/NAME:TAG
in a registry, or with --engine the name of one in an engine.

examples:
  seatrial oci validate layout/ image.tar
  seatrial oci validate --engine docker@bookworm busybox:latest
  seatrial oci validate 127.0.0.1:5000/fleet/ship:v1 --verify-signature --key cosign.pub
  seatrial oci validate layout/ --verify-signature --gpg-key key.asc --signatures /var/lib/containers/sigstore
  seatrial oci validate image.tar --format sarif

exit codes: 0 no errors, 1 errors (with --strict also warnings)
"""
_EXPLAIN = """\
examples:
  seatrial oci explain OCI075
  seatrial oci explain              all codes

exit codes: 0 explained, 4 there is no such code
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    parser = verb(verbs, "oci", lambda _: _usage(parser), "images, checked against the image specification", _OCI)
    inner = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=type(parser))
    check = verb(inner, "validate", run_validate, "check layouts, archives and images", _VALIDATE)
    check.add_argument("images", metavar="IMAGE", nargs="+", help="a path, or HOST[:PORT]/NAME:TAG")
    check.add_argument("--engine", metavar="TARGET", default="", help="whose images are named")
    check.add_argument("--format", choices=FORMATS, default="text", help="of the diagnostics (default: text)")
    check.add_argument("--strict", action="store_true", help="let warnings count as errors")
    check.add_argument("--max-unpacked", metavar="MIB", type=int, default=8192,
                       help="how much a layer may unpack to (default: 8192)")  # fmt: skip
    check.add_argument("--plain-http", action="store_true", help="no TLS to the registry; loopback needs none anyway")
    check.add_argument("--ca", metavar="FILE", type=Path, help="the authority that the registry's certificate is of")
    check.add_argument("--verify-signature", action="store_true", help="the image has to be signed by a key")
    check.add_argument("--key", metavar="FILE", type=Path, help="public key of cosign's signatures (PEM)")
    check.add_argument("--gpg-key", metavar="FILE", type=Path, help="GPG key of simple signing")
    check.add_argument("--signatures", metavar="DIR", type=Path, help="where the signatures of simple signing are")
    why = verb(inner, "explain", run_explain, "explain a diagnostic", _EXPLAIN)
    why.add_argument("codes", metavar="CODE", nargs="*", help="as OCI075")


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return Exit.OK


def run_validate(arguments: argparse.Namespace) -> int:
    """Print the diagnostics."""
    from seatrial import formats
    from seatrial.oci.image.rules import CATALOGUE
    from seatrial.oci.image.signature import Keys
    from seatrial.oci.image.validate import Wishes

    keys = None
    if arguments.verify_signature:
        if arguments.key is None and arguments.gpg_key is None:
            raise SeatrialError("E321", "no key is named to verify signatures with", "", "--key FILE or --gpg-key FILE")
        keys = Keys(arguments.key, arguments.gpg_key, arguments.signatures)
    wishes = Wishes(max(arguments.max_unpacked, 1) << 20, keys)
    reports = _in_engine(arguments, wishes) if arguments.engine else [_one(arguments, name, wishes)
                                                                      for name in arguments.images]  # fmt: skip
    tell(formats.render(reports, arguments.format, CATALOGUE))
    bad = any(report.errors or (arguments.strict and report.warnings) for report in reports)
    return Exit.FAILED if bad else Exit.OK


def _one(arguments: argparse.Namespace, name: str, wishes: Wishes) -> Report:
    from seatrial.oci.image import remote, validate

    if not Path(name).exists():
        try:
            remote.parse(name)
        except ValueError:
            pass
        else:
            return validate.registry(name, wishes, plain=arguments.plain_http, ca=arguments.ca)
    return validate.path(Path(name), wishes)


def _in_engine(arguments: argparse.Namespace, wishes: Wishes) -> list[Report]:
    from seatrial.engines import drivers
    from seatrial.lab import labs
    from seatrial.oci.image import validate
    from seatrial.targets import parse

    target = parse(arguments.engine)
    if target.is_runtime:
        raise SeatrialError("E325", f"{target} has no images", "it is an OCI runtime", "name an engine")
    if not target.is_lab:
        driver = drivers.on_this_machine(target)
        return [validate.engine(driver, name, wishes) for name in arguments.images]
    lab = labs.acquire(target, "validate", say)
    try:
        driver = drivers.in_lab(target, lab)
        return [validate.engine(driver, name, wishes) for name in arguments.images]
    finally:
        labs.release(lab.name, "validate")


def run_explain(arguments: argparse.Namespace) -> int:
    """Print what codes mean."""
    from seatrial.oci.image.rules import CATALOGUE

    explain(CATALOGUE, arguments.codes)
    return Exit.OK
