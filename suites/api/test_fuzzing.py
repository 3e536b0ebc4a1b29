"""Requests made up by hypothesis, of the types that each end point documents: none makes the engine fail.

A failure is a status of 5xx, whatever its message, a refusal without a message, or no answer at all. The answers are
collected and told together, by kind.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.api.findings import Findings
from seatrial.examples import examples

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = [claim("api-165")]

LONG = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1, -(2**63)])
SMALL = st.integers(-5, 5)
# nothing here may be a name of a volume, a network or a path: what is made has to be found again
ODD = st.text(alphabet="\0 \n\t%\u00e9\u2603\U0001f600\"'\\{}$,=;:@#+-.", max_size=8)
TEXT = ODD | st.sampled_from(["", ".", "..", "-", "=", "a=b", "a", "%s%n", "x" * 300, "\u202e", "..\\", "$(id)"])
NUMERAL = st.sampled_from(["", "0", "1", "-1", "80", "65535", "65536", "1.5", "1e3", "0x10", "80-81", "81-80", "x"])
SIGNAL = st.sampled_from(["", "TERM", "SIGTERM", "sigterm", "15", "0", "-1", "64", "99", "BANANA", "RTMIN+3"]) | ODD
USER = st.sampled_from(["", "0", "0:0", "root", "root:root", "nosuch", "1:", ":1", "-1", "99999999999", "a:b:c"]) | ODD
ADDRESS = st.sampled_from(["", "0.0.0.0", "127.0.0.1", "10.1", "256.1.1.1", "::1", "fe80::1%lo", "a.b", "1.2.3.4/8"])
SUBNET = st.sampled_from(["", "10.250.9.0/24", "10.250.9.1/24", "10.250.9.0/33", "10.250.9.0", "::/0", "x/24"])
INSIDE = st.sampled_from(["", "/", "/a", "a", "/a/../b", "/../..", "/a\0b", "/" + "d" * 300, "/proc", "/etc/passwd"])
PORT = st.builds("{}{}".format, NUMERAL, st.sampled_from(["", "/tcp", "/udp", "/sctp", "/banana", "/", "/tcp/tcp"]))
VARIABLE = st.sampled_from(["", "=", "=x", "A", "A=", "A=b", "A=b=c", "A B=c", "A=\0", "\u00e9=\u2603"]) | ODD
ITEMS = {"max_size": 3}


def one_of(*words):
    return st.sampled_from(words) | ODD


def some(**fields):
    """Return a strategy of objects with any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


LIMITS = {
    "Memory": LONG, "MemorySwap": LONG, "MemoryReservation": LONG, "CpuShares": LONG, "CpuQuota": LONG,
    "CpuPeriod": LONG, "NanoCpus": LONG, "BlkioWeight": st.integers(0, 65535), "PidsLimit": st.none() | LONG,
    "CpusetCpus": one_of("", "0", "0-1", "0,1", "1-0", "99", "-1", "0-", ","),
    "CpusetMems": one_of("", "0", "99", "0-"),
}  # fmt: skip
RESTART = some(Name=one_of("", "no", "always", "on-failure", "unless-stopped"), MaximumRetryCount=SMALL)
ENDPOINT = some(
    IPAMConfig=st.none() | some(IPv4Address=ADDRESS, IPv6Address=ADDRESS, LinkLocalIPs=st.lists(ADDRESS, **ITEMS)),
    Aliases=st.none() | st.lists(TEXT, **ITEMS), MacAddress=one_of("", "02:42:ac:11:00:02", "0:0", "zz:zz:zz:zz:zz:zz"),
    DriverOpts=st.none() | st.dictionaries(TEXT, TEXT, **ITEMS),
)  # fmt: skip
ENDPOINTS = st.dictionaries(one_of("bridge", "nosuch"), ENDPOINT, **ITEMS)
BINDING = some(HostIp=ADDRESS, HostPort=NUMERAL)


def settings_of_the_host(volume, directory):
    """Return a strategy of HostConfig that names no volume and no directory but the two."""
    source = st.sampled_from([volume, directory, "", "relative/x"])
    mode = st.sampled_from(["", "ro", "rw", "z", "ro,rw", "nocopy", "rshared", "banana"])
    bind = st.builds(":".join, st.tuples(source, INSIDE, mode)) | st.builds("{}:{}".format, source, INSIDE) | ODD
    mount = some(
        Type=one_of("bind", "volume", "tmpfs", "npipe", "banana", ""), Source=source, Target=INSIDE,
        ReadOnly=st.booleans(), Consistency=one_of("", "cached", "default"),
        BindOptions=some(Propagation=one_of("", "private", "rshared")),
        TmpfsOptions=some(SizeBytes=LONG, Mode=st.integers(0, 2**32 - 1)),
        VolumeOptions=some(NoCopy=st.booleans()),
    )  # fmt: skip
    device = some(PathOnHost=one_of("", "/dev/null", "/dev/nosuch", "/"), PathInContainer=INSIDE,
                  CgroupPermissions=one_of("", "rwm", "x"))  # fmt: skip
    return some(
        **LIMITS, Binds=st.lists(bind, **ITEMS), Mounts=st.lists(mount, **ITEMS), Devices=st.lists(device, **ITEMS),
        NetworkMode=one_of("", "bridge", "none", "host", "default", "container:", "container:nosuch", "nosuch"),
        IpcMode=one_of("", "none", "private", "shareable", "host", "container:nosuch"), PidMode=one_of("", "host"),
        UTSMode=one_of("", "host"), UsernsMode=one_of("", "host"), CgroupnsMode=one_of("", "host", "private"),
        CapAdd=st.lists(one_of("ALL", "CAP_NET_ADMIN", "banana"), **ITEMS), CapDrop=st.lists(TEXT, **ITEMS),
        ExtraHosts=st.lists(one_of("a:1.2.3.4", "a:host-gateway", "a", "a:", ":1.2.3.4", "a:b"), **ITEMS),
        RestartPolicy=RESTART, AutoRemove=st.booleans(), Dns=st.lists(ADDRESS, **ITEMS),
        DnsSearch=st.lists(TEXT, **ITEMS), ShmSize=LONG,
        Tmpfs=st.dictionaries(INSIDE, one_of("", "size=1m", "size=x", "rw,noexec", "banana"), **ITEMS),
        Sysctls=st.dictionaries(one_of("net.core.somaxconn", "kernel.msgmax", "a.b", ""), TEXT, **ITEMS),
        SecurityOpt=st.lists(one_of("no-new-privileges", "seccomp=unconfined", "label=disable", "a=b"), **ITEMS),
        PortBindings=st.dictionaries(PORT, st.none() | st.lists(BINDING, **ITEMS), **ITEMS),
        Ulimits=st.lists(some(Name=one_of("nofile", "banana", ""), Soft=LONG, Hard=LONG), **ITEMS),
        GroupAdd=st.lists(USER, **ITEMS), OomScoreAdj=LONG, ReadonlyRootfs=st.booleans(),
        Isolation=one_of("", "hyperv"), Links=st.lists(one_of("nosuch", "a:b", ":"), **ITEMS),
        VolumesFrom=st.lists(one_of("nosuch", "nosuch:ro"), **ITEMS),
        CgroupParent=one_of("", "/a", "a/../..", "a.slice"), Runtime=one_of("", "nosuch"),
    )  # fmt: skip


HEALTH = some(Test=st.lists(one_of("NONE", "CMD", "CMD-SHELL", "true"), **ITEMS), Interval=LONG, Timeout=LONG,
              Retries=SMALL, StartPeriod=LONG)  # fmt: skip
SETTINGS = {
    "Cmd": st.none() | st.lists(TEXT, **ITEMS) | TEXT, "Entrypoint": st.none() | st.lists(TEXT, **ITEMS) | TEXT,
    "Env": st.lists(VARIABLE, **ITEMS), "User": USER, "Hostname": one_of("", "a", "a.b", "-a", "x" * 70),
    "Domainname": TEXT, "WorkingDir": INSIDE, "ExposedPorts": st.dictionaries(PORT, st.just({}), **ITEMS),
    "Volumes": st.dictionaries(INSIDE, st.just({}), **ITEMS), "StopSignal": SIGNAL, "StopTimeout": st.none() | LONG,
    "Tty": st.booleans(), "OpenStdin": st.booleans(), "Healthcheck": st.none() | HEALTH,
    "Shell": st.lists(TEXT, **ITEMS), "MacAddress": one_of("", "02:42:ac:11:00:02", "zz"),
    "NetworkDisabled": st.booleans(),
}  # fmt: skip


@pytest.fixture
def findings():
    return Findings()


@pytest.fixture
def asked(api, findings):
    """Call it with a method, a path and what was drawn to have a request sent and its answer looked at."""

    def ask(method, path, drawn, **options):
        answer = api.request(method, path, expect=None, timeout=90, **options)
        findings.see(answer, drawn)
        return answer

    yield ask
    api.get("/_ping")


@pytest.mark.parametrize("part", ["settings", "host", "endpoint"])
def test_no_container_that_is_asked_for_makes_the_engine_fail(api, engine, asked, findings, part):
    volume = engine.name("v")
    engine.track("volume", volume)
    bodies = {
        "settings": some(**SETTINGS),
        "host": some(HostConfig=settings_of_the_host(volume, str(engine.workdir))),
        "endpoint": some(NetworkingConfig=some(EndpointsConfig=ENDPOINTS)),
    }

    @examples(100)
    @given(bodies[part])
    def create(body):
        answer = asked("POST", "/containers/create", body, json={"Image": engine.image, **body})
        if answer.status == 201:
            api.delete(f"/containers/{answer.json()['Id']}", expect=(204, 200), query={"force": True, "v": True})

    create()
    assert findings.seen.get(201)
    findings.check()


def test_no_limit_that_is_asked_for_makes_the_engine_fail(api, asked, findings):
    c = api.create()

    @examples(60)
    @given(some(**LIMITS, RestartPolicy=RESTART))
    def update(body):
        asked("POST", f"/containers/{c.name}/update", body, json=body)

    update()
    findings.check()


def test_no_exec_that_is_asked_for_makes_the_engine_fail(api, asked, findings):
    c = api.run()

    @examples(60)
    @given(some(Cmd=st.lists(TEXT, **ITEMS), Env=st.none() | st.lists(VARIABLE, **ITEMS), User=USER, WorkingDir=INSIDE,
                Tty=st.booleans(), DetachKeys=one_of("", "ctrl-p", "ctrl-", "a,", "ctrl-p,ctrl-q"),
                AttachStdout=st.booleans()))  # fmt: skip
    def execute(body):
        asked("POST", f"/containers/{c.name}/exec", body, json=body)

    execute()
    findings.check()


POOL = some(Subnet=SUBNET, IPRange=SUBNET, Gateway=ADDRESS, AuxiliaryAddresses=st.dictionaries(TEXT, ADDRESS, **ITEMS))


def test_no_network_that_is_asked_for_makes_the_engine_fail(api, engine, asked, findings):
    @examples(80)
    @given(some(Driver=st.sampled_from(["", "bridge", "null", "host"]), Internal=st.booleans(),
                Attachable=st.booleans(), EnableIPv6=st.booleans(), CheckDuplicate=st.booleans(),
                Options=st.none() | st.dictionaries(one_of("com.docker.network.driver.mtu", "parent"), TEXT, **ITEMS),
                IPAM=st.none() | some(Driver=st.sampled_from(["", "default", "null"]),
                                      Config=st.none() | st.lists(POOL, **ITEMS),
                                      Options=st.none() | st.dictionaries(TEXT, TEXT, **ITEMS))))  # fmt: skip
    def create(body):
        name = engine.name("f")
        answer = asked("POST", "/networks/create", body, json={"Name": name, **body})
        if answer.status == 201:
            api.delete(f"/networks/{name}", expect=204)

    create()
    findings.check()


def test_no_endpoint_that_is_asked_for_makes_the_engine_fail(api, asked, findings):
    network, c = api.network(), api.create()

    @examples(60)
    @given(ENDPOINT)
    def connect(body):
        answer = asked("POST", f"/networks/{network}/connect", body, json={"Container": c.name, "EndpointConfig": body})
        if answer.status == 200:
            api.post(f"/networks/{network}/disconnect", expect=200, json={"Container": c.name, "Force": True})

    connect()
    findings.check()


def test_no_volume_that_is_asked_for_makes_the_engine_fail(api, engine, asked, findings):
    @examples(80)
    @given(some(Driver=st.sampled_from(["", "local"]), Labels=st.none() | st.dictionaries(TEXT, TEXT, **ITEMS),
                DriverOpts=st.none() | st.dictionaries(
                    one_of("type", "device", "o", "size"), one_of("tmpfs", "none", "bind", "size=1m"), **ITEMS)))
    def create(body):
        name = engine.name("f")
        answer = asked("POST", "/volumes/create", body, json={"Name": name, **body})
        if answer.status == 201:
            api.delete(f"/volumes/{name}", expect=204)

    create()
    findings.check()


QUERIES = {
    "rename": ("POST", "/containers/{c}/rename", some(name=ODD | st.sampled_from(["", "/", "-a", "x" * 9000]))),
    "kill": ("POST", "/containers/{stopped}/kill", some(signal=SIGNAL)),
    "resize": ("POST", "/containers/{c}/resize", some(h=NUMERAL, w=NUMERAL)),
    "logs": ("GET", "/containers/{c}/logs", some(stdout=one_of("1", "0", "x"), tail=NUMERAL | st.just("all"),
                                                 since=NUMERAL, until=NUMERAL, timestamps=one_of("1", "x"))),
    "top": ("GET", "/containers/{c}/top", some(ps_args=one_of("-ef", "aux", "--nosuch", "-o pid", "-o"))),
    "wait": ("POST", "/containers/{stopped}/wait", some(condition=one_of("", "not-running", "banana"))),
    "archive": ("GET", "/containers/{c}/archive", some(path=one_of("", "etc/hostname", "/nosuch", "/etc/\0", ".."))),
    "list": ("GET", "/containers/json", some(limit=NUMERAL, all=one_of("1", "x"), size=one_of("0", "x"))),
    "tag": ("POST", "/images/{image}/tag", some(repo=one_of("", "A", "a/", "a//b", "x" * 300), tag=one_of("x" * 200))),
    "pull": ("POST", "/images/create", some(fromImage=one_of("A/B", "a:b:c", "a@b"), tag=ODD,
                                            platform=one_of("a/b/c/d"))),
    "events": ("GET", "/events", st.fixed_dictionaries({"until": st.sampled_from(["1", "1.5", "x", "1e3"])},
                                                       optional={"since": NUMERAL})),
}  # fmt: skip


@pytest.mark.parametrize("name", list(QUERIES))
def test_no_query_makes_the_engine_fail(api, asked, findings, engine, name):
    method, path, queries = QUERIES[name]
    stopped = api.create()
    stopped.start()
    stopped.post("kill", expect=204)
    stopped.post("wait", expect=200)
    where = path.format(c=api.run(Tty=True).name, stopped=stopped.name, image=engine.image)

    @examples(60)
    @given(queries)
    def ask(query):
        asked(method, where, query, query=query)

    ask()
    findings.check()


FILTERS = {
    "/containers/json": ["name", "label", "id", "status", "before", "since", "exited", "ancestor", "volume", "network",
                         "publish", "expose", "health", "is-task", "isolation"],
    "/images/json": ["dangling", "label", "before", "since", "reference"],
    "/networks": ["name", "label", "id", "driver", "type", "scope", "dangling"],
    "/volumes": ["name", "label", "driver", "dangling"],
}  # fmt: skip
VALUES = one_of("true", "1", "x", "created", "nosuch", "80/tcp", "0", "-1", "[", "(", "*", "a=b", "bridge", "local")


@claim("api-077")
@pytest.mark.parametrize("path", list(FILTERS))
def test_no_filter_makes_the_engine_fail(asked, findings, path):
    @examples(80)
    @given(st.dictionaries(st.sampled_from(FILTERS[path]) | ODD, st.lists(VALUES, max_size=2)
                           | st.dictionaries(VALUES, st.booleans(), max_size=2), max_size=2))  # fmt: skip
    def ask(filters):
        asked("GET", path, filters, query={"filters": filters})

    ask()
    findings.check()
