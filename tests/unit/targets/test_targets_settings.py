"""What a project may say of its targets, and how it is refused where it makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from nbpipe.errors import UsageError
from nbpipe.targets.settings import KEEPING, Target, read_targets, target_named

SSH = {"kind": "ssh", "host": "gpu01"}
PODS = {"kind": "kubernetes", "image": "r/x:1", "claim": "data", "folder": "/shared"}


def test_this_machine_is_always_a_target() -> None:
    assert read_targets(None) == {"local": Target(name="local")}
    assert list(read_targets({"gpu": SSH})) == ["local", "gpu"]
    assert read_targets({"local": {"cpus": 2}})["local"].cpus == 2


def test_everything_that_can_be_said_is_read() -> None:
    said = {**SSH, "port": 2222, "identity": "~/.ssh/id", "config": "/etc/own", "python": "~/env/bin/python"}
    said |= {"folder": "/scratch/a b", "cpus": 8, "gpus": 2, "memory": "64G", "env": {"A": "1"}, "versions": "any"}
    found = read_targets({"gpu": {**said, "patience": "2m", "keep": "3h"}})["gpu"]
    assert (found.host, found.port, found.memory, found.patience, found.keep) == ("gpu01", 2222, 64 << 30, 120, 10800)
    assert found.env == {"A": "1"}
    assert found.lazy is None
    assert read_targets({"gpu": {**SSH, "lazy": "2G"}})["gpu"].lazy == 2 << 30
    assert read_targets({"gpu": {**PODS, "lazy": "never"}})["gpu"].lazy is None


@pytest.mark.parametrize(
    "store",
    ["/shared/a b", "s3://bucket/a/b", "gs://b", "abfs://c@account.dfs.core.windows.net/x", "sftp://me@host/a@b"],
)
def test_a_store_is_a_folder_or_a_url(store: str) -> None:
    for table in (SSH, PODS, {"kind": "slurm"}, {"kind": "ray", "address": "http://a"}):
        assert read_targets({"gpu": {**table, "store": store}})["gpu"].store == store


def test_kernels_of_failed_stages_are_kept_where_the_target_says_so() -> None:
    for table in (SSH, {"kind": "slurm"}, {"kind": "ray", "address": "http://a:8265"}, PODS):
        found = read_targets({"gpu": {**table, "keep_failed": "15m", "keep_failed_memory": "2G"}})["gpu"]
        assert (found.keep_failed, found.keep_failed_memory) == (900, 2 << 30)
        assert found.kind in KEEPING
    with pytest.raises(UsageError, match="no setting 'keep_failed'"):
        read_targets({"two": {"kind": "local", "keep_failed": "15m"}})


def test_several_hosts_are_one_target_each_with_the_same_settings() -> None:
    found = read_targets({"gpu": {"kind": "ssh", "hosts": ["gpu01", "ada@gpu02"], "gpus": 2}})["gpu"]
    assert found.place == "gpu01, ada@gpu02"
    assert [(one.host, one.gpus, one.hosts) for one in found.members] == [("gpu01", 2, ()), ("ada@gpu02", 2, ())]


def test_all_that_pods_can_be_given_is_read() -> None:
    said = {"node_selector": {"cloud.google.com/pool": "l4"}, "tolerations": ["nvidia.com/gpu", "spot=true:NoSchedule"]}
    found = read_targets({"gpu": {**PODS, **said, "secrets": {"HF_TOKEN": "vault/hf-token"}, "restarts": 0}})["gpu"]
    assert (found.node_selector, list(found.tolerations)) == (said["node_selector"], said["tolerations"])
    assert (found.secrets, found.restarts, found.gpu_resource) == ({"HF_TOKEN": "vault/hf-token"}, 0, "nvidia.com/gpu")


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("Gpu", SSH, "not a valid name"),
        ("../x", SSH, "not a valid name"),
        ("gpu", "ssh", "not a table"),
        ("gpu", {}, "no kind"),
        ("gpu", {"kind": "ssh"}, "no host"),
        ("gpu", {**SSH, "lazy": "often"}, "not a size"),
        ("gpu", {"kind": "local", "lazy": "never"}, "no setting 'lazy'"),
        ("gpu", {**SSH, "hosts": ["a"]}, "both"),
        ("gpu", {"kind": "ssh", "hosts": []}, "list of names"),
        ("gpu", {"kind": "ssh", "hosts": ["a", "a"]}, "twice"),
        ("gpu", {"kind": "ssh", "hosts": ["-oProxyCommand=x"]}, "not a host"),
        ("gpu", {"kind": "slurm", "hosts": ["a"]}, "no setting 'hosts'"),
        ("gpu", {"kind": "ray"}, "no address"),
        ("gpu", {"kind": "ray", "address": "host:8265"}, "not an address"),
        ("gpu", {"kind": "ray", "address": "http://a", "partition": "b"}, "no setting 'partition'"),
        ("gpu", {"kind": "ray", "address": "http://a", "resources": {"a100": -1}}, "not a number"),
        ("gpu", {"kind": "ray", "address": "http://a", "resources": {"a b": 1}}, "not a resource"),
        ("gpu", {"kind": "slurm", "partition": "--wrap=x"}, "not a name"),
        ("gpu", {"kind": "slurm", "constraint": "a b"}, "not a name"),
        ("gpu", {"kind": "slurm", "time": "long"}, "not a duration"),
        ("gpu", {"kind": "kubernetes"}, "no image, claim or folder"),
        ("gpu", {**PODS, "folder": "~/x"}, "absolute path"),
        ("gpu", {**PODS, "image": "a b"}, "image"),
        ("gpu", {**PODS, "claim": "A_b"}, "not a name"),
        ("gpu", {**PODS, "context": "--server=x"}, "not a context"),
        ("gpu", {**PODS, "tolerations": "spot"}, "write a list"),
        ("gpu", {**PODS, "tolerations": ["spot=true:Never"]}, "not a taint"),
        ("gpu", {**PODS, "secrets": {"A": "vault"}}, "not SECRET/KEY"),
        ("gpu", {**PODS, "secrets": {"A=B": "vault/a"}}, "name of a variable"),
        ("gpu", {**PODS, "node_selector": {"pool": "a b"}}, "label's value"),
        ("gpu", {**PODS, "restarts": -1}, "whole number"),
        ("gpu", {**PODS, "environment": "build"}, "no setting 'environment'"),
        ("gpu", {"kind": "shh"}, "no kind of target"),
        ("local", SSH, "this machine"),
        ("gpu", {**SSH, "pyhton": "x"}, "no setting 'pyhton'"),
        ("gpu", {**SSH, "port": "22"}, "not a port"),
        ("gpu", {**SSH, "port": 70000}, "not a port"),
        ("gpu", {**SSH, "gpus": True}, "not a number"),
        ("gpu", {**SSH, "cpus": 0}, "not greater than 0"),
        ("gpu", {**SSH, "memory": "much"}, "not a size"),
        ("gpu", {**SSH, "env": {"A-B": "1"}}, "NAME=VALUE"),
        ("gpu", {**SSH, "versions": "old"}, "neither"),
        ("gpu", {**SSH, "keep": "5s"}, "less than a minute"),
        ("gpu", {**SSH, "patience": "soon"}, "not a duration"),
        ("gpu", {**SSH, "folder": "-rf"}, "not a path"),
        ("gpu", {**SSH, "python": "a\nb"}, "not a path"),
        ("gpu", {**SSH, "store": "shared"}, "absolute path nor a URL"),
        ("gpu", {**SSH, "store": "~/shared"}, "absolute path nor a URL"),
        ("gpu", {**SSH, "store": "memory://a"}, "absolute path nor a URL"),
        ("gpu", {**SSH, "store": "s3://a b"}, "absolute path nor a URL"),
        ("gpu", {**SSH, "store": "simplecache::s3://a"}, "absolute path nor a URL"),
        ("gpu", {**SSH, "store": "s3://key:word@bucket"}, "credentials"),
        ("gpu", {**SSH, "store": "sftp://me:word@host/a"}, "credentials"),
        ("gpu", {**SSH, "store": "https://token@host/a"}, "credentials"),
        ("gpu", {**SSH, "store": "https://a/b?sig=word"}, "credentials"),
        ("local", {"store": "/shared"}, "no setting 'store'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, table: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        read_targets({name: table})
    assert caught.value.name


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=touch x", "a b", "$(x)", "`x`", "a;b", "a'b", "", "@", "é", "a@-oX", "x" * 400, "a\nb", 7]
)
def test_a_host_is_never_an_option_nor_a_command(host: Any) -> None:
    with pytest.raises(UsageError):
        read_targets({"gpu": {"kind": "ssh", "host": host}})


@pytest.mark.parametrize("host", ["gpu01", "ada@gpu01.example.org", "192.0.2.7", "[2001:db8::1]", "2001:db8::1", "a_b"])
def test_hosts_are_written_as_for_ssh(host: str) -> None:
    assert read_targets({"gpu": {"kind": "ssh", "host": host}})["gpu"].host == host


def test_a_target_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="no target 'gpi'") as caught:
        target_named(read_targets({"gpu": SSH}), "gpi", stage="train")
    assert caught.value.stage == "train"
    assert "Did you mean 'gpu'?" in str(caught.value.fix)
