"""The arithmetic and the file formats of the conversion, against gguf-py and against definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import small_gguf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from spectui.sources.demo_model.checkpoint import hugging_face_name, write_checkpoint
from spectui.sources.demo_model.gguf_file import GgufError, GgufTensor, read_gguf
from spectui.sources.demo_model.safetensors_file import WEIGHTS_FILE
from spectui.sources.demo_model.weights import (
    dequantise_q4_1,
    dequantise_q8_0,
    interleaved_rows_to_halves,
    round_to_bfloat16,
    tensor_to_bfloat16,
)

Q4_1 = np.dtype([("scale", "<f2"), ("minimum", "<f2"), ("nibbles", "u1", (16,))])
Q8_0 = np.dtype([("scale", "<f2"), ("quants", "i1", (32,))])
Kinds = gguf.GGMLQuantizationType


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    small_gguf.write_small_gguf(path)
    return path


def raw_blocks(dtype: np.dtype[Any]) -> st.SearchStrategy[Any]:
    return npst.arrays(np.uint8, st.integers(1, 40).map(lambda count: count * dtype.itemsize))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("dtype", "kind", "dequantise"), [(Q4_1, Kinds.Q4_1, dequantise_q4_1), (Q8_0, Kinds.Q8_0, dequantise_q8_0)]
)
def test_dequantisation_is_gguf_pys_bit_for_bit(dtype: np.dtype[Any], kind: Kinds, dequantise: Any) -> None:
    @settings(deadline=None)
    @given(raw_blocks(dtype))
    def check(raw: Any) -> None:
        expected = gguf.quants.dequantize(raw.reshape(1, -1), kind).reshape(-1)
        np.testing.assert_array_equal(dequantise(raw.view(dtype)), expected)

    check()


def test_a_q4_1_block_by_hand() -> None:
    block = np.zeros(1, Q4_1)
    block["scale"], block["minimum"] = 0.5, -1.0
    block["nibbles"][0, 0] = 0xF3
    weights = dequantise_q4_1(block)
    assert weights[0] == 3 * 0.5 - 1.0
    assert weights[16] == 15 * 0.5 - 1.0


@settings(deadline=None)
@given(st.floats(width=32, min_value=-(2.0**127), max_value=2.0**127))
def test_bfloat16_is_the_nearest_and_ties_go_to_even(value: float) -> None:
    (bits,) = round_to_bfloat16(np.array([value], np.float32))
    below = int(np.float32(value).view(np.uint32)) >> 16
    candidates = np.array([below << 16, (below + 1) << 16], np.uint32).view(np.float32).astype(np.float64)
    distances = np.abs(candidates - np.float64(value))
    expected = below + (below & 1) if distances[0] == distances[1] else below + int(np.argmin(distances))
    assert int(bits) == expected


@pytest.mark.parametrize(
    ("value", "bits"), [(0.0, 0x0000), (-0.0, 0x8000), (1.0, 0x3F80), (1.00390625, 0x3F80), (1.01171875, 0x3F82)]
)
def test_bfloat16_table(value: float, bits: int) -> None:
    assert round_to_bfloat16(np.array([value], np.float32)).tolist() == [bits]


def test_a_tensor_larger_than_one_batch_is_converted_whole() -> None:
    raw = np.random.default_rng(1).integers(0, 60, (20_000, 34), np.uint8)
    tensor = GgufTensor("t", (20_000, 32), "Q8_0", memoryview(raw.tobytes()))
    whole = round_to_bfloat16(dequantise_q8_0(raw.reshape(-1).view(Q8_0))).reshape(20_000, 32)
    np.testing.assert_array_equal(tensor_to_bfloat16(tensor), whole)


@settings(deadline=None)
@given(heads=st.integers(1, 9), pairs=st.integers(1, 8), width=st.integers(1, 5))
def test_llama_cpps_row_order_is_undone(heads: int, pairs: int, width: int) -> None:
    rows = np.arange(heads * pairs * 2 * width, dtype=np.uint16).reshape(-1, width)
    stored = rows.reshape(heads, 2, pairs, width).swapaxes(1, 2).reshape(rows.shape)
    np.testing.assert_array_equal(interleaved_rows_to_halves(stored, heads), rows)


def test_the_reader_agrees_with_gguf_py(small_file: Path) -> None:
    ours, theirs = read_gguf(small_file.read_bytes()), gguf.GGUFReader(small_file)
    for key, field in theirs.fields.items():
        if not key.startswith("GGUF."):
            assert ours.metadata[key] == field.contents(), key
    assert list(ours.tensors) == [tensor.name for tensor in theirs.tensors]
    for tensor in theirs.tensors:
        mine = ours.tensors[tensor.name]
        assert mine.shape == tuple(reversed(tensor.shape.tolist()))
        assert mine.kind == tensor.tensor_type.name
        assert bytes(mine.data) == tensor.data.tobytes()


@settings(deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused(small_file: Path, data: st.DataObject) -> None:
    content = small_file.read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    # The last tensor is followed by padding, which nobody misses.
    with pytest.raises(GgufError, match=r"ends at byte|not a GGUF file"):
        read_gguf(content[: min(cut, len(content) - 64)])


def test_other_bytes_versions_and_tensors_are_refused(small_file: Path) -> None:
    content = small_file.read_bytes()
    with pytest.raises(GgufError, match="not a GGUF file"):
        read_gguf(b"GGML" + content[4:])
    with pytest.raises(GgufError, match="version 2"):
        read_gguf(content[:4] + b"\x02\0\0\0" + content[8:])
    with pytest.raises(GgufError, match="does not belong"):
        hugging_face_name("blk.0.attn_qkv.weight")


def test_the_checkpoint_holds_every_tensor_where_loaders_look(small_file: Path, tmp_path: Path) -> None:
    written: list[tuple[int, int]] = []
    write_checkpoint(small_file.read_bytes(), tmp_path, lambda done, total: written.append((done, total)))
    raw = (tmp_path / WEIGHTS_FILE).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    assert written[-1] == (len(raw), len(raw))
    assert (8 + size) % 8 == 0
    assert header.pop("__metadata__") == {"format": "pt"}
    assert len(header) == len(small_gguf.tensors())
    embedding = header["model.embed_tokens.weight"]
    start, end = (8 + size + offset for offset in embedding["data_offsets"])
    stored, kind = small_gguf.tensors()["token_embd.weight"]
    expected = round_to_bfloat16(gguf.quants.dequantize(stored, kind))
    assert embedding["dtype"] == "BF16"
    assert embedding["shape"] == list(expected.shape)
    assert raw[start:end] == expected.tobytes()


def test_the_conversion_is_deterministic(small_file: Path, tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        hashes.add(write_checkpoint(small_file.read_bytes(), tmp_path / name, lambda done, total: None))
    assert len(hashes) == 1
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_config_and_tokenizer_come_from_the_metadata(small_file: Path, tmp_path: Path) -> None:
    write_checkpoint(small_file.read_bytes(), tmp_path, lambda done, total: None)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["rms_norm_eps"]) == (4, 2, 1e-05)
    assert config["tie_word_embeddings"] is True
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    assert tokenizer["model"]["vocab"] == {token: index for index, token in enumerate(small_gguf.TOKENS)}
    assert [entry["content"] for entry in tokenizer["added_tokens"]] == small_gguf.TOKENS[:3]
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (settings["eos_token"], settings["chat_template"]) == ("<|im_end|>", small_gguf.TEMPLATE)
