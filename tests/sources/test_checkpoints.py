"""Configurations and headers of checkpoints: from folders, from Hugging Face's cache, and over the network."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.core.memory_plan.checkpoint import Tensor
from spectui.sources.checkpoints.headers import header
from spectui.sources.checkpoints.reading import read_checkpoint
from spectui.sources.vllm.target import TargetError
from tests.support.headers import header_of, write_checkpoint, write_weights

pytestmark = pytest.mark.unit

CONFIG = {"model_type": "llama", "num_hidden_layers": 2}
FIRST, SECOND = {"model.embed_tokens.weight": (1000, 64)}, {"model.layers.0.up.weight": (7, 5), "scale": ()}
TENSORS = (
    Tensor("model.embed_tokens.weight", "BF16", (1000, 64)),
    Tensor("model.layers.0.up.weight", "BF16", (7, 5)),
    Tensor("scale", "BF16", ()),
)


def test_a_folder_is_read_by_its_headers(tmp_path: Path) -> None:
    model = str(write_checkpoint(tmp_path / "one", CONFIG, {**FIRST, **SECOND}))
    found = read_checkpoint(model)
    assert (found.name, found.config, found.tensors) == (model, CONFIG, TENSORS)
    assert [tensor.numbers for tensor in found.tensors] == [64_000, 35, 1]


def test_an_index_says_which_files_count(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "two", CONFIG, FIRST, SECOND)
    write_weights(folder / "consolidated.safetensors", FIRST)
    assert read_checkpoint(str(folder)).tensors == TENSORS


def test_a_gigantic_checkpoint_costs_its_headers(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "large", CONFIG, {"model.layers.0.up.weight": (1 << 17, 1 << 16)})
    (large,) = read_checkpoint(str(folder)).tensors
    assert large.bytes == 1 << 34


def test_weights_without_headers_have_a_size(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(77))
    assert read_checkpoint(str(tmp_path)).file_bytes == 77
    (tmp_path / "model.gguf").write_bytes(bytes(99))
    assert read_checkpoint(str(tmp_path / "model.gguf")).file_bytes == 99


def test_files_that_are_no_checkpoint_are_said(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "cut", CONFIG, FIRST)
    path = folder / "model.safetensors"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(TargetError, match=rf"^model '{folder}' cannot be read: {path} is cut short; fetch it again$"):
        read_checkpoint(str(folder))
    for content in (b"", b"\xff" * 64, (2).to_bytes(8, "little") + b"[]", header_of({"x": (0,)})[0][:-1]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"header|cut short|Expecting|delimiter"):
            header(path)
    with pytest.raises(TargetError, match=r"^model '\./nowhere' was not found: no such folder, check the path$"):
        read_checkpoint("./nowhere")


class Client:
    """Hugging Face as ``huggingface_hub`` shows it, from a folder."""

    def __init__(self, folder: Path, *, cached: bool, fault: Exception | None = None) -> None:
        self.folder, self.cached, self.fault = folder, cached, fault
        self.asked: list[str] = []

    def try_to_load_from_cache(self, repo_id: str, filename: str) -> Any:
        return str(self.folder / filename) if self.cached else None

    def hf_hub_download(self, repo_id: str, filename: str) -> str:
        self.asked.append(filename)
        return str(self.folder / filename)

    def get_safetensors_metadata(self, repo_id: str) -> Any:
        self.asked.append("headers")
        if self.fault is not None:
            raise self.fault
        listed = {name: SimpleNamespace(dtype="BF16", shape=list(shape)) for name, shape in {**FIRST, **SECOND}.items()}
        return SimpleNamespace(files_metadata={"model.safetensors": SimpleNamespace(tensors=listed)})


def test_only_what_is_not_in_the_cache_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    whole = write_checkpoint(tmp_path / "whole", CONFIG, FIRST, SECOND)
    bare = write_checkpoint(tmp_path / "bare", CONFIG, FIRST, SECOND)
    (bare / "model-00002-of-00002.safetensors").unlink()
    for folder, cached, asked in (
        (whole, True, []),
        (bare, True, ["headers"]),
        (bare, False, ["config.json", "headers"]),
    ):
        client = Client(folder, cached=cached)
        found = read_checkpoint("owner/name", client)
        assert (found.config, found.tensors) == (CONFIG, TENSORS)
        assert client.asked == asked


def test_a_model_without_safetensors_has_a_configuration(tmp_path: Path) -> None:
    errors: Any = pytest.importorskip("huggingface_hub.errors")
    folder = write_checkpoint(tmp_path / "bin", CONFIG, FIRST)
    (folder / "model.safetensors").unlink()
    found = read_checkpoint("owner/name", Client(folder, cached=True, fault=errors.NotASafetensorsRepoError()))
    assert (found.config, found.tensors, found.file_bytes) == (CONFIG, (), 0)


def test_what_hugging_face_refuses_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    folder = write_checkpoint(tmp_path / "gone", CONFIG, FIRST)
    (folder / "model.safetensors").unlink()
    client = Client(folder, cached=True, fault=OSError("no route to host"))
    with pytest.raises(TargetError, match=r"^model 'owner/name' cannot be read on Hugging Face: no route to host$"):
        read_checkpoint("owner/name", client)
    # The suite's own environment is offline.
    with pytest.raises(TargetError, match=r"^model 'nobody/nothing' was not found: .* HF_HUB_OFFLINE is set; check"):
        read_checkpoint("nobody/nothing")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, list[str]]]:
    """Hugging Face's client over a server on this machine that has one sharded model; and the ranges it was asked."""
    constants: Any = pytest.importorskip("huggingface_hub.constants")
    hub_api: Any = pytest.importorskip("huggingface_hub")
    folder = write_checkpoint(tmp_path / "served", CONFIG, FIRST, SECOND)
    ranges: list[str] = []

    class Served(http.server.BaseHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = folder / self.path.rpartition("/")[2]
            if not path.is_file():
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = path.read_bytes()
            if (asked := self.headers.get("Range")) is not None and body:
                ranges.append(f"{path.name} {asked}")
                first, last = asked.removeprefix("bytes=").split("-")
                content = content[int(first) : int(last) + 1]
            self.send_response(200 if asked is None else 206)
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", f'"{path.name}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    api = hub_api.HfApi(endpoint=f"http://127.0.0.1:{server.server_port}", token=False)
    client = SimpleNamespace(
        try_to_load_from_cache=lambda *words: None,
        hf_hub_download=lambda repo, name: api.hf_hub_download(repo, name, cache_dir=tmp_path / "cache"),
        get_safetensors_metadata=api.get_safetensors_metadata,
    )
    yield client, ranges
    server.shutdown()
    thread.join()
    server.server_close()


def test_headers_come_over_the_network_without_the_weights(hub: tuple[Any, list[str]]) -> None:
    client, ranges = hub
    found = read_checkpoint("owner/name", client)
    assert (found.config, set(found.tensors)) == (CONFIG, set(TENSORS))
    assert sorted({asked.partition(" ")[0] for asked in ranges}) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
