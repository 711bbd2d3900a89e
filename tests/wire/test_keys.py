"""Keys: their files, and who is admitted with them."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
import zmq

from spectui.serving.settings import ServingSettings
from spectui.wire import keys
from spectui.wire.keys import KeysError, check_server, make, secure_viewer
from spectui.wire.messages import VERSION, About, Standing, Watch
from tests.support.viewers import LOCAL, serving, viewing

NOTHING_S = 0.3
"""A viewer that is let in has its first packet long before."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Keys of a server and a viewer."""
    make(tmp_path / "keys", "viewer")
    return tmp_path / "keys"


def viewers_folder(tmp_path: Path, server: Path, viewer: Path, name: str = "viewer") -> Path:
    """A viewer's folder with the server's public key from one folder, and a secret from another."""
    folder = tmp_path / f"of-{name}"
    folder.mkdir()
    shutil.copy(server / "server.public", folder)
    shutil.copy(viewer / f"{name}.secret", folder)
    return folder


def test_the_files_and_their_modes(folder: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"server.secret": 0o600, "viewer.secret": 0o600, "server.public": 0o644, "viewer.public": 0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("server", "viewer"):
        secret, public = ((folder / f"{name}{ending}").read_bytes().strip() for ending in (".secret", ".public"))
        assert zmq.curve_public(secret) == public


def test_another_viewer_leaves_the_rest_as_it_is(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert [path.name for path in make(folder, "anna")] == ["anna.secret", "anna.public"]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("ending", [".secret", ".public"])
def test_nothing_is_overwritten(folder: Path, ending: str) -> None:
    (folder / f"anna{ending}").write_text("mine")
    for name in ("viewer", "anna"):
        with pytest.raises(KeysError, match=f"has keys of {name} already: name another viewer with --viewer"):
            make(folder, name)
    assert (folder / f"anna{ending}").read_text() == "mine"


def test_a_folder_of_others_is_not_used(folder: Path) -> None:
    folder.chmod(0o755)
    with pytest.raises(KeysError, match="can be opened by others: make it yours alone with chmod 700"):
        make(folder, "anna")
    folder.chmod(0o770)
    with pytest.raises(KeysError, match="can be changed by others, who could admit themselves"):
        check_server(folder)


def test_a_viewers_folder_gets_no_keys(folder: Path, tmp_path: Path) -> None:
    own = viewers_folder(tmp_path, folder, folder)
    own.chmod(0o700)
    with pytest.raises(KeysError, match=r"has no server\.secret: add viewers where the server's keys are"):
        make(own, "anna")


def test_what_a_server_cannot_use_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeysError, match=r"cannot be read \(No such file or directory\): make keys with spectui keys"):
        check_server(tmp_path / "none")
    (folder / "server.secret").chmod(0o640)
    with pytest.raises(KeysError, match=r"server\.secret can be read by others: use chmod 600"):
        check_server(folder)
    (folder / "server.secret").chmod(0o600)
    (folder / "odd.public").write_text("not a key")
    with pytest.raises(KeysError, match=r"odd\.public is no key: make keys with spectui keys"):
        check_server(folder)


def test_characters_that_are_no_key_together_are_none(folder: Path) -> None:
    (folder / "odd.public").write_text("#" * 40)
    with pytest.raises(KeysError, match=r"odd\.public is no key: make keys with spectui keys"):
        check_server(folder)


@pytest.mark.parametrize("name", ["viewer.public", "server.public"])
def test_a_key_that_others_could_replace_is_not_used(folder: Path, name: str) -> None:
    (folder / name).chmod(0o664)
    use = check_server if name == "viewer.public" else keys.check_viewer
    use(folder)
    folder.chmod(0o755)
    with pytest.raises(KeysError, match=r"can be changed by others, who could put their own key there: use chmod 644"):
        use(folder)


def test_what_a_viewer_cannot_use_is_said(folder: Path, tmp_path: Path) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    make(folder, "anna")
    with pytest.raises(KeysError, match=r"several viewers' secret keys \(anna\.secret, viewer\.secret\): leave one"):
        secure_viewer(socket, folder)
    (folder / "anna.secret").unlink()
    (folder / "viewer.secret").unlink()
    with pytest.raises(KeysError, match=r"has no viewer's secret key \(NAME\.secret\): make one with spectui keys"):
        secure_viewer(socket, folder)
    context.destroy(linger=0)


def test_without_encryption_in_zeromq_it_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq, "has", lambda capability: False)
    for use in (lambda: make(folder, "anna"), lambda: check_server(folder)):
        with pytest.raises(KeysError, match="this ZeroMQ cannot encrypt: install pyzmq's own wheel"):
            use()


def test_only_viewers_with_a_key_of_the_servers_get_anything(folder: Path, tmp_path: Path) -> None:
    make(tmp_path / "other", "viewer")
    settings = ServingSettings(endpoint=LOCAL, keys=folder)
    strangers = [
        None,
        # Keys that are right for another server, and a viewer whom this one does not know.
        viewers_folder(tmp_path, tmp_path / "other", folder),
        _renamed(viewers_folder(tmp_path, folder, _renamed_secret(tmp_path / "other", "eve"), "eve"), "eve", "viewer"),
    ]
    with serving(settings) as server, viewing(server.publisher.endpoint, folder) as viewer:
        assert isinstance(viewer.watch().items[0], About)
        for stranger in strangers:
            with viewing(server.publisher.endpoint, stranger) as one:
                one.say(Watch(VERSION))
                assert one.maybe(NOTHING_S) is None
        assert server.publisher.viewers == 1


def test_a_key_that_is_added_or_removed_counts_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_REREAD_S", 0.0)
    with serving(ServingSettings(endpoint=LOCAL, keys=folder)) as server:
        make(folder, "anna")
        own = viewers_folder(tmp_path, folder, folder, "anna")
        with viewing(server.publisher.endpoint, own) as viewer:
            assert isinstance(viewer.watch().items[0], About)
        (folder / "anna.public").unlink()
        with viewing(server.publisher.endpoint, own) as viewer:
            viewer.say(Watch(VERSION))
            assert viewer.maybe(NOTHING_S) is None


def test_while_a_key_is_wrong_nobody_more_is_admitted_and_the_log_says_why(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keys, "_REREAD_S", 0.0)
    with (
        serving(ServingSettings(endpoint=LOCAL, keys=folder)) as server,
        viewing(server.publisher.endpoint, folder) as viewer,
    ):
        viewer.watch()
        (folder / "odd.public").write_text("#" * 40)
        for _ in range(2):
            with viewing(server.publisher.endpoint, folder) as one:
                one.say(Watch(VERSION))
                assert one.maybe(NOTHING_S) is None
        (folder / "odd.public").unlink()
        with viewing(server.publisher.endpoint, folder) as one:
            assert isinstance(one.watch().items[0], About)
        assert viewer.until(Standing)
    assert [record.message.partition(": ")[2][:24] for record in caplog.records] == ["no viewer is admitted: /"]


def test_what_is_sent_cannot_be_read_on_the_way(folder: Path) -> None:
    import socket
    import threading

    with serving(ServingSettings(endpoint=LOCAL, keys=folder)) as server, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        seen: list[bytes] = []
        done = threading.Event()

        def relay() -> None:
            inner, _ = listener.accept()
            outer = socket.create_connection(("127.0.0.1", int(server.publisher.endpoint.rpartition(":")[2])))
            for one in (inner, outer):
                one.settimeout(0.01)
            while not done.is_set():
                for source, sink in ((inner, outer), (outer, inner)):
                    try:
                        data = source.recv(65_536)
                    except TimeoutError:
                        continue
                    seen.append(data)
                    sink.sendall(data)
            inner.close()
            outer.close()

        thread = threading.Thread(target=relay)
        thread.start()
        with viewing(f"tcp://127.0.0.1:{listener.getsockname()[1]}", folder) as viewer:
            about = viewer.watch().items[0]
            assert isinstance(about, About)
            done.set()
            thread.join()
    assert about.model == "target"
    assert b"CURVE" in b"".join(seen)
    assert b"target" not in b"".join(seen)


def _renamed_secret(folder: Path, name: str) -> Path:
    (folder / "viewer.secret").rename(folder / f"{name}.secret")
    return folder


def _renamed(folder: Path, old: str, new: str) -> Path:
    os.rename(folder / f"{old}.secret", folder / f"{new}.secret")  # noqa: PTH104
    return folder
