import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("build-010", "build-016")
def test_comments_blank_lines_and_continuations_are_not_instructions(builder):
    image = builder.build(
        "# first line\n\n  # indented comment\nfrom IMAGE\n"
        "RUN echo one >/f && \\\n# comment inside of a continuation\n\n    echo two >>/f\n"
        'Run echo "# no comment" >>/f\n'
        "RUN echo 'a   b' >>/f # the shell's comment\n",
    )
    assert image.sh("cat /f").splitlines() == ["one", "two", "# no comment", "a   b"]


SPELLINGS = {
    "crlf": b"FROM IMAGE\r\nRUN echo one \\\r\n two >/f\r\n",
    "byte-order-mark": b"\xef\xbb\xbfFROM IMAGE\nRUN echo one two >/f\n",
    "no-newline-at-the-end": b"FROM IMAGE\nRUN echo one two >/f",
    "blanks-after-the-backslash": b"FROM IMAGE\nRUN echo one \\  \n two >/f\n",
    "tabs": b"FROM\tIMAGE\nRUN\techo one\ttwo >/f\n",
    "blanks-before-instructions": b"   FROM IMAGE\n\t RUN echo one two >/f\n",
}


@claim("build-010")
@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_of_lines_is_read(default_builder, text):
    image = default_builder.build(text.decode())
    assert image.sh("cat /f") == "one two"


@claim("build-202")
def test_escape_directive_makes_the_backslash_an_ordinary_character(builder):
    image = builder.build(
        "# escape=`\nFROM IMAGE\nRUN echo one `\n two >/f\nWORKDIR /a\\b\n", {"c": "x"},
    )
    assert image.sh("cat /f; pwd").splitlines() == ["one two", "/a\\b"]


@claim("build-202")
def test_escape_directive_after_a_comment_is_a_comment(default_builder):
    image = default_builder.build("# a comment first\n# escape=`\nFROM IMAGE\nRUN echo one \\\n two >/f\n")
    assert image.sh("cat /f") == "one two"


# instruction lines after FROM -> what the message must name
REFUSED = {
    "unknown-instruction": ("FOO bar", r"unknown instruction: \W?FOO"),
    "add-without-destination": ("ADD x", "ADD requires at least (two|one) argument"),
    "copy-without-destination": ("COPY x", "COPY requires at least (two|one) argument"),
    "copy-unknown-flag": ("COPY --foo a b", "unknown flag: (--)?foo|COPY only supports"),
    "run-unknown-flag": ("RUN --foo true", "unknown flag: (--)?foo|RUN only supports"),
    "arg-nothing": ("ARG", "ARG requires (at least one|an) argument"),
    "env-without-value": ("ENV a", "ENV must have two arguments"),
    "env-without-name": ("ENV =x", "ENV names can not be blank"),
    "label-without-value": ("LABEL a", "LABEL must have two arguments"),
    "maintainer-nothing": ("MAINTAINER", "MAINTAINER requires exactly one argument"),
    "workdir-nothing": ("WORKDIR", "WORKDIR requires exactly one argument"),
    "volume-nothing": ("VOLUME", "VOLUME requires at least one argument"),
    "volume-empty": ('VOLUME [""]', "volume specified can not be an empty string"),
    "stopsignal-unknown": ("STOPSIGNAL SIGFOO", "invalid signal: SIGFOO"),
    "stopsignal-two": ("STOPSIGNAL SIGINT SIGTERM", "invalid signal: SIGINT SIGTERM"),
    "healthcheck-unknown-type": ("HEALTHCHECK FOO", 'unknown type "FOO" in HEALTHCHECK'),
    "healthcheck-bad-interval": ("HEALTHCHECK --interval=foo CMD true", 'invalid duration "?foo'),
    "healthcheck-negative-retries": ("HEALTHCHECK --retries=-1 CMD true", r"--retries .*-1"),
    "shell-not-json": ("SHELL /bin/sh", "SHELL requires the arguments to be in JSON form"),
    "shell-empty": ("SHELL []", "SHELL requires at least one argument"),
    "expose-too-big": ("EXPOSE 70000", r"invalid containerPort: 70000|invalid port.*70000"),
    "expose-negative": ("EXPOSE -1", "invalid containerPort: -1|invalid port.*-1"),
    "expose-word": ("EXPOSE foo", "invalid containerPort: foo|invalid port.*foo"),
    "expose-backward-range": ("EXPOSE 9-8", "invalid containerPort: 9-8|invalid .*9-8"),
    "expose-unknown-protocol": ("EXPOSE 80/foo", "invalid proto: foo"),
    "onbuild-onbuild": ("ONBUILD ONBUILD RUN true", "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    "onbuild-from": ("ONBUILD FROM scratch", "FROM isn't allowed as an ONBUILD trigger"),
    "onbuild-maintainer": ("ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
}


@claim("build-201")
@pytest.mark.parametrize(("line", "says"), REFUSED.values(), ids=REFUSED)
def test_wrong_instruction_is_refused_by_name(default_builder, line, says):
    default_builder.refuses(f"FROM IMAGE\n{line}\n", {"a": ""}, says=says)


FROMS = {
    "nothing": ("FROM", r"FROM requires (either one|an) argument|FROM requires either one or three"),
    "two-words": ("FROM IMAGE b", "FROM requires either one (argument, )?or three"),
    "as-nothing": ("FROM IMAGE AS", "FROM requires either one (argument, )?or three"),
    "bad-stage-name": ("FROM IMAGE AS 1x", 'invalid name for build stage: "1x"'),
    "bad-reference": ("FROM a:b:c", "invalid reference format"),
    "copy-from-unknown-stage": ("FROM IMAGE\nCOPY --from=nostage.invalid/x:y /a /b",
                                r"nostage\.invalid"),
}  # fmt: skip


@claim("build-013", "build-201")
@pytest.mark.parametrize(("line", "says"), FROMS.values(), ids=FROMS)
def test_wrong_from_is_refused(default_builder, line, says):
    default_builder.refuses(f"{line}\n", says=says)


@claim("build-202", "build-201")
@pytest.mark.parametrize(
    ("directive", "says"),
    [("# escape=x\n", "invalid escape"), ("# escape=`\n# escape=`\n", "only one escape parser directive")],
    ids=["other-character", "twice"],
)
def test_wrong_escape_directive_is_refused(default_builder, directive, says):
    default_builder.refuses(f"{directive}FROM IMAGE\n", says=says)


@claim("build-012", "build-201")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "dockerfile_empty"),
        ("# nothing but a comment\n\n", "dockerfile_without_instructions"),
        ("RUN true\nFROM IMAGE\n", "dockerfile_without_from"),
        ("ENV a=b\nFROM IMAGE\n", "dockerfile_without_from"),
    ],
    ids=["empty", "comment-only", "run-first", "env-first"],
)
def test_dockerfile_that_does_not_begin_with_from_is_refused(default_builder, text, says):
    default_builder.refuses(text, says=says)


@claim("build-012", "build-206")
def test_arg_may_stand_before_from_and_is_seen_by_from_only(default_builder):
    image = default_builder.build("ARG base=nothing\nFROM ${base}\nRUN echo \"<$base>\" >/f\n",
                          None, "--build-arg", f"base={default_builder.bench.image}")  # fmt: skip
    assert image.sh("cat /f") == "<>"


@claim("build-010")
def test_long_lines_and_many_steps_are_read_whole(default_builder):
    words = [f"w{number:05}" for number in range(6000)]
    labels = "".join(f"LABEL l{number}={'v' * 50}{number}\n" for number in range(12))
    image = default_builder.build(
        f"FROM IMAGE\nENV LONG={''.join(words)}\n{labels}RUN echo -n $LONG | wc -c >/f\n"
    )
    assert image.sh("cat /f") == str(6 * 6000)
    assert {f"l{number}" for number in range(12)} <= image.config["Labels"].keys()


@claim("build-201")
def test_binary_file_is_refused_as_a_dockerfile(default_builder):
    default_builder.refuses("\x7fELF\x02\x01\x01\0\0\0 \1\2\3\n\0\0\n", says="unknown instruction|no FROM statement"
                    "|requires a FROM|no build stage|no stages|parse error")  # fmt: skip


plain = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=12)


@claim("build-029", "build-203")
@examples(3)
@given(values=st.lists(plain, min_size=40, max_size=40, unique=True))
def test_any_text_survives_quoting_in_env_and_label(default_builder, values):
    def quoted(value):
        return '"' + "".join(f"\\{letter}" if letter in '"$\\' else letter for letter in value) + '"'

    pairs = " ".join(f"N{number}={quoted(value)}" for number, value in enumerate(values))
    config = default_builder.build(f"FROM IMAGE\nENV {pairs}\nLABEL {pairs}\n").config
    env = dict(entry.split("=", 1) for entry in config["Env"])
    assert [env[f"N{number}"] for number in range(40)] == values
    assert [config["Labels"][f"N{number}"] for number in range(40)] == values
