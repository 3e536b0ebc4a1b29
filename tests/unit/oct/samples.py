"""Small cases of every dialect, written for the tests."""

import copy
import json


def case(**changes):
    """A canonical case without any fault; None takes a field away."""
    base = {
        "SchemaVersion": "1", "Name": "sample", "Version": "1", "Summary": "a sample", "License": "Apache-2.0",
        "Group": "Function/Samples",
        "Requires": [{"Class": "host", "Type": "os"}, {"Class": "box", "Type": "container"}],
        "Deploys": [{"Object": "hostA", "Class": "host", "Containers": [{"Object": "boxA", "Class": "box"}]}],
        "Run": [{"Name": "look", "Object": "boxA", "Cmd": ["echo", "hello"]}],
        "Collects": [],
        "Expect": [{"Step": "look", "From": "stdout", "Equals": "hello"}],
    }  # fmt: skip
    base.update(copy.deepcopy(changes))
    return {name: value for name, value in base.items() if value is not None}


def text(document):
    return json.dumps(document, indent=2)


D0 = """\
{
  "root": {
    "name": "Net 001",
    "version": 0.1,
    "group": "Cases/Network",
    "license": "Apache 2.0",
    "source": ["docker_run.sh"],
    "Requires": [
      {"operationOS": {"type": "os", "distribution": "Ubuntu14.02", "resource": {"CPU": 1, "Disk": "100G"}}},
      {"ImageA": {"type": "container", "version": "dockerV1.0"}}
    ],
    "Deploy": [
      {"hostA": {"class": "OperationOS", "setup": "null", "containers": [
        {"name": "DockerA", "class": "ImageA", "deploy": {"type": "script", "name": "docker_run.sh"}}]}}
    ],
    "Run": [
      {"hostA": {"run": null}},
      {"DockerA": {"run": {"type": "cmd", "value": "ping -c 1 10.0.0.1 > ~/ping.txt"}}}
    ],
    "Collect": [{"DockerA": {"collect": {"type": "cmd", "value": "octf_cli -f ~/ping.txt"}}}]
  }
}
"""
FIVE = """\
{
  "Name": "five",
  "Summary": "five parts",
  "Version": "0.1",
  "License": "Apache-2.0",
  "Group": "Performance/Network",
  "Requires": [
  {"Class": "operOS", "Type": "os", "Distribution": "CentOS", "Version": 7, "Resource": {"CPU": "2", "Memory": "2GB"}},
    {"Class": "iperf3", "Type": "container", "Distribution": "Docker", "Version": "1", "Files": ["./source/Dockerfile"]}
  ],
  "Deploys": [
    {"Object": "hostA", "class": "operOS", "Files": ["./source/t.sh"], "Cmd": "./t.sh",
     "Containers": [{"Object": "server", "Class": "iperf3"}]}
  ],
  "Run": [{"Object": "HostA", "Class": "operOS", "Cmd": "./t.sh again"}],
  "Collects": [{"Object": "hostA", "Files": ["./source/result.json", "/tmp/out.json"]}]
}
"""
D1 = FIVE.replace('"Collects"', '"Collect"')
D2 = FIVE.replace('"Deploys"', '"Deploy"')
D4 = """\
{
  "Name": "units", "ID": "3f", "Group": "function", "Units": [
    {"Name": "hostA", "Class": "os", "Distribution": "Ubuntu", "Version": "14.04", "CPU": 1, "Memory": 2,
     "Status": "init", "Commands": {"Deploy": "echo a", "Run": "echo b > r", "Collect": "ls"}, "ReportURL": "source/r"},
    {"Name": "boxA", "Class": "container", "Distribution": "Docker", "ResName": "busybox",
     "Commands": {"Run": "echo in"}}
  ]
}
"""
D5 = """\
# a comment
readonly= --args=./runtimetest --args=vro --rootfs=rootfs --read-only=true; --args=./runtimetest --read-only=false
rlimit=--args=./runtimetest --rlimit=RLIMIT_NOFILE:1024:2048 --cap-add=CAP_CHOWN --hostname=zen
"""
