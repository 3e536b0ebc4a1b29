"""What can be wrong with a case: its codes and their explanations."""

from __future__ import annotations

from typing import ClassVar

from seatrial import diagnostics
from seatrial.diagnostics import Catalogue, Rule, Severity

_E, _W = Severity.ERROR, Severity.WARNING

# OCT00x the text, 01x fields, 02x names and references, 03x files and paths, 04x what a case does and judges,
# 05x what it asks of the world, 06x its place in a library, 07x the order in which things are made.
# One meaning each; a code is never given another one.
CATALOGUE = Catalogue.of("OCT", "seatrial oct", (
    Rule("OCT001", _E, "the file is not valid JSON",
         "A case is one JSON object as RFC 8259 defines it. The place is where reading stopped to make sense; the "
         "mistake is there or just before. `seatrial oct import` adds a comma, a colon or a last brace that is "
         "missing and says so; what it cannot be sure of, it refuses."),
    Rule("OCT002", _E, "a key stands twice in one object",
         "JSON readers keep the first or the last one and drop the other in silence, so that half of a command list "
         "is lost. Give several commands as a list: \"Cmd\": [\"first\", \"second\"]."),
    Rule("OCT003", _W, "comments and trailing commas are not JSON",
         "Accepted and taken away by `seatrial oct import`; everywhere else they are errors."),
    Rule("OCT004", _E, "the text is not UTF-8, or begins with a byte order mark",
         "A case is UTF-8 without a byte order mark, so that every tool reads the same text."),
    Rule("OCT005", _E, "the document is too large, nested too deep, or has an absurd number",
         "A case has at most 1 MiB and 64 levels. Data belong into files below source/."),
    Rule("OCT006", _E, "the file cannot be read",
         "It is missing, no regular file, or not readable for this user."),
    Rule("OCT010", _E, "a field has a name that no case has, and one that is alike exists",
         "Unknown fields are refused, because a misspelt one would be ignored: \"Versioin\" once left the wish for a "
         "version without effect. Names are case sensitive. Notes of your own go into fields that begin with x-."),
    Rule("OCT011", _E, "a field is not part of a case",
         "Unknown fields are refused. Fields of older dialects have other names today; `seatrial oct import` knows "
         "them. Notes of your own go into fields that begin with x-."),
    Rule("OCT012", _E, "a value is of the wrong type",
         "Versions are text (\"7\", not 7), because 14.10 as a number is 14.1."),
    Rule("OCT013", _E, "a required field is missing",
         "The parts of a case are always there, if only as an empty list: what is missing was forgotten."),
    Rule("OCT014", _E, "a text is no quantity",
         "Sizes are a number and a unit: 512MiB, 2GB, 64KiB. A bare number would be read as bytes by one reader and "
         "as megabytes by the next."),
    Rule("OCT015", _W, "the licence is no SPDX identifier",
         "Tools compare licences by their SPDX identifier, such as Apache-2.0 or GPL-2.0-only."),
    Rule("OCT016", _E, "a value is not one of those that are allowed",
         "The message lists them; they are case sensitive."),
    Rule("OCT017", _E, "a value has the wrong form, or is out of range",
         "The schema (`seatrial oct schema`) states form and range of each field."),
    Rule("OCT018", _E, "the document is of an older dialect",
         "`seatrial oct import FILE` turns it into the one form that runs, and lists what it changed."),
    Rule("OCT019", _E, "the version of the format is unknown",
         "This version of the harness reads SchemaVersion \"1\"."),
    Rule("OCT020", _E, "an object is of a class that Requires does not define",
         "Class in Deploys refers to a Class in Requires, letter by letter."),
    Rule("OCT021", _E, "a container is of a class that Requires does not define",
         "Class in Containers refers to a Class in Requires of the type container, letter by letter."),
    Rule("OCT022", _E, "a step names an object that is never deployed",
         "Run, Collects and Destroy act on objects of Deploys and their Containers."),
    Rule("OCT023", _E, "an object is deployed twice",
         "Names of hosts and containers share one space, so that each step has one meaning."),
    Rule("OCT024", _W, "a class in Requires is never used",
         "No object asks for it, so nothing would be reserved for it."),
    Rule("OCT025", _E, "a class has the wrong type for its use",
         "Objects of Deploys are of the type os, Containers of the type container."),
    Rule("OCT026", _E, "an expectation names a step that does not exist",
         "Step refers to the Name of a step in Deploys or Run, or to its Object where that has one step only."),
    Rule("OCT027", _E, "a variable is not defined, or not where it stands",
         "Known are those of Matrix and Parameters, ${engine}, ${image}, ${label}, ${prove}, ${nonce}, ${task}, ${case}"
         " and ${OBJECT.address}, ${OBJECT.name}, ${OBJECT.id} of containers. $$ is a dollar sign. "
         "What only a run knows may stand in Cmd, Stdin, Env, Cwd, User, WaitFor, Args, in Files of Collects, and in "
         "Path, Match, Equals, Contains and Value of Expect."),
    Rule("OCT028", _W, "a variable of Matrix is never used",
         "All its combinations would do the same, and be reported as several results."),
    Rule("OCT029", _E, "two steps have the same name",
         "An expectation could not say which one it means."),
    Rule("OCT030", _E, "a file does not exist in the bundle",
         "Paths in Files are relative to the directory of the case: source/run.sh."),
    Rule("OCT031", _E, "a path leaves the bundle",
         "A bundle is whole: what it needs lies in it. Absolute paths and .. are refused, because the bundle is "
         "unpacked and run on other machines."),
    Rule("OCT032", _W, "a file below source/ is not listed by any Files",
         "It is copied nowhere: forgotten in the list, or left over."),
    Rule("OCT033", _E, "a collected path repeats the directory source/",
         "Paths of Collects are relative to the working directory, which is source/ unless Cwd says otherwise, so "
         "that source/x is looked for in source/source/x."),
    Rule("OCT034", _W, "an absolute path of a host is collected",
         "Two runs at once would share it. Write to the working directory; in containers, absolute paths are fine."),
    Rule("OCT035", _E, "a script cannot be started",
         "It is not executable, or has no line that names its interpreter (#!/bin/sh)."),
    Rule("OCT036", _E, "the bundle holds something that is no plain file or directory",
         "Links, devices, pipes and set-uid files are refused: they mean other things on other machines."),
    Rule("OCT037", _E, "an entry of the archive would be written outside of it",
         "Names with .. or a leading / are refused before anything is unpacked."),
    Rule("OCT038", _E, "the archive, or what is imported, is too large",
         "At most 64 MiB unpacked, 16 MiB a file, 2000 entries; sizes are checked before and while unpacking."),
    Rule("OCT039", _E, "the archive cannot be read",
         "It is cut off, damaged, or no tar archive compressed by gzip."),
    Rule("OCT040", _E, "the case does nothing",
         "No command and no operation stands in Deploys or Run, and no container has a command of its own."),
    Rule("OCT041", _W, "the case expects nothing",
         "Without Expect nobody can tell right from wrong: a run is \"unverified\", which is never green."),
    Rule("OCT042", _W, "a command mixes several with ';'",
         "The exit code is that of the last one, a failure before it is lost. Use a list, && or set -e."),
    Rule("OCT043", _W, "a command has no end of its own",
         "ping without -c, tail -f, sleep infinity and the like end by their time-out. Give -c, or make it a "
         "Background step."),
    Rule("OCT044", _W, "a command puts a process into the background with &",
         "Nobody waits for it or ends it. \"Background\": true does both, and WaitFor tells when it is ready."),
    Rule("OCT045", _W, "nothing seems to write a collected file",
         "Its name stands in no command and in no script of the bundle."),
    Rule("OCT046", _E, "a text is no regular expression",
         "Match is a Python regular expression that is searched for in the text."),
    Rule("OCT047", _E, "a text is no path into JSON",
         "Paths look like end.sum_received.bits_per_second or items[0].name."),
    Rule("OCT048", _W, "nothing waits for a background step",
         "Without WaitFor the next step starts at once, ready or not."),
    Rule("OCT049", _E, "an expectation reads a file that is not collected",
         "Path names a file of Collects: by As where it has one, else by its Path."),
    Rule("OCT050", _E, "the case needs the network",
         "wget, curl, git clone and package managers fail where there is none. Put the file into source/, or add a "
         "class of the type kernel whose Needs has \"network\"."),
    Rule("OCT051", _E, "the image is not available offline",
         "Image.Name is busybox or toolbox, which the harness makes; others come as Dockerfile or Rootfs."),
    Rule("OCT052", _W, "the engine is retired",
         "rkt is not maintained since 2020. Engines are no part of a case: name one with --engine."),
    Rule("OCT053", _W, "a command ends processes or containers by a pattern",
         "It hits those of others. The engine ends what the case has started."),
    Rule("OCT054", _W, "a known failure has no link",
         "Url says where it was reported, so that somebody can tell whether it still holds."),
    Rule("OCT055", _W, "a command names an engine",
         "The engine is a parameter: ${engine} is its command on a host. Better still, let Containers and Op say it."),
    Rule("OCT056", _E, "a need is unknown",
         "Needs lists requirements of the harness; `seatrial doctor` shows them."),
    Rule("OCT057", _E, "an operation does not fit its object",
         "Op acts on containers; a step has either Op or Cmd."),
    Rule("OCT058", _E, "a metric cannot be judged",
         "A Baseline needs a Tolerance in percent and the direction that is better."),
    Rule("OCT060", _E, "several files could be the case of one bundle",
         "Name it case.json, and keep one for each directory."),
    Rule("OCT061", _E, "a name is used by several cases of the library",
         "Results are kept by name: one would pass for the other."),
    Rule("OCT062", _W, "group and directory say different things",
         "A library is found by its directories: cases/<group>/<name>/case.json."),
    Rule("OCT070", _E, "a container joins one that is not there",
         "Join names a container whose namespace is shared. It must have been created before: by standing earlier in "
         "Deploys, or, where Until is declared, by a step of Run whose Op is create."),
    Rule("OCT071", _E, "a step acts on a container that was never created",
         "Until \"declared\" leaves the container to Run: a step whose Op is create has to come before all others that "
         "act on it. Only Op state may ask whether it is there."),
))  # fmt: skip


class Report(diagnostics.Report):
    """All diagnostics of one case, bundle or library."""

    catalogue: ClassVar[Catalogue] = CATALOGUE
