"""What a message tells to type works for how the package is installed."""

import sys
from pathlib import Path

import pytest

from codeclm.providers.optional import install_command, requirement


def test_from_an_index_by_name() -> None:
    assert requirement("parquet", {}) == '"codeclm[parquet]"'


def test_from_a_checkout_by_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "my checkout"
    folder.mkdir()
    url = folder.as_uri()

    assert requirement("hub", {"url": url, "dir_info": {"editable": True}}) == f"-e '{folder}[hub]'"
    assert requirement("hub", {"url": url, "dir_info": {}}) == f"'{folder}[hub]'"


def test_from_a_wheel_by_its_path_or_address(tmp_path: Path) -> None:
    wheel = tmp_path / "codeclm-1.0-py3-none-any.whl"
    wheel.touch()

    assert requirement("hub", {"url": wheel.as_uri(), "archive_info": {}}) == f"'{wheel}[hub]'"
    address = {"url": "https://example.org/codeclm-1.0.whl"}
    assert requirement("hub", address) == '"codeclm[hub] @ https://example.org/codeclm-1.0.whl"'


def test_from_a_repository_at_its_commit() -> None:
    record = {"url": "https://example.org/c.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}

    assert requirement("hub", record) == '"codeclm[hub] @ git+https://example.org/c.git@abc"'


def test_from_a_checkout_that_has_gone_by_name(tmp_path: Path) -> None:
    record = {"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": True}}

    assert requirement("hub", record) == '"codeclm[hub]"'


@pytest.mark.parametrize("is_first", [True, False])
def test_the_pip_is_that_of_the_interpreter(
    is_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "pip"
    other.touch(0o755)
    folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{folder}:{tmp_path}" if is_first else f"{tmp_path}:{folder}")

    command = install_command("parquet")

    assert command.startswith("pip install" if is_first else f"{sys.executable} -m pip install")
