"""timm's hub: spoken to over HTTP on this machine, and out of reach."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from filmstrip.errors import WeightsError
from filmstrip.model.backbone import build_backbone
from filmstrip.model.specs import TimmBackboneSpec
from filmstrip.model.weights import load_backbone_weights

MOBILENET = "mobilenetv3_small_100"
OLD_NAME, NEW_NAME = "vit_tiny_patch16_224_in21k", "vit_tiny_patch16_224.augreg_in21k"

# The hub's address is read when its library is imported, so a process of its own asks.
LOAD = """
    import json, sys
    from safetensors.torch import save_file
    from filmstrip.errors import WeightsError
    from filmstrip.model.backbone import build_backbone
    from filmstrip.model.specs import TimmBackboneSpec
    from filmstrip.model.weights import load_backbone_weights

    folder, names = sys.argv[1], sys.argv[2:]
    for name in names:
        spec = TimmBackboneSpec(name=name)
        backbone = build_backbone(spec, 96)
        try:
            print(json.dumps(load_backbone_weights(backbone, spec, None)))
            state = {key: value.contiguous() for key, value in backbone.trunk.state_dict().items()}
            save_file(state, f"{folder}/{name}.safetensors")
        except WeightsError as error:
            print(json.dumps([error.given, error.expected, error.remedy]))
"""


class Hub(ThreadingHTTPServer):
    """A server with the hub's way of speaking, as far as a download needs it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.is_down = False

    def publish(self, name: str) -> dict[str, Tensor]:
        hub_id = timm.get_pretrained_cfg(name).hf_hub_id
        state = timm.create_model(name).state_dict()
        self.files[f"/{hub_id}/resolve/main/config.json"] = b"{}"
        self.files[f"/{hub_id}/resolve/main/model.safetensors"] = save(state)
        return state

    def load(self, *names: str) -> list[Any]:
        """What a process says that loads each backbone's weights, for frames of 96 pixels."""
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(LOAD), str(self.folder), *names],
            env=os.environ
            | {
                "HF_ENDPOINT": f"http://127.0.0.1:{self.server_port}",
                "HF_HOME": str(self.folder),
                "HF_HUB_OFFLINE": "0",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "NO_PROXY": "127.0.0.1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]


class HubHandler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        self.server.requests.append((self.command, self.path))
        content = self.server.files.get(self.path, b"")
        if self.server.is_down or not content:
            self.send_response(503 if self.server.is_down else 404)
            self.end_headers()
            return b""
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{hash(content):x}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_weights_are_fetched_from_the_hub_and_stay_at_hand_when_it_is_down(
    hub: Hub, tmp_path: Path
) -> None:
    mobilenet, vit = hub.publish(MOBILENET), hub.publish(NEW_NAME)
    origin = f"timm's hub, timm/{MOBILENET}.lamb_in1k"
    assert hub.load(MOBILENET, OLD_NAME) == [origin, f"timm's hub, timm/{NEW_NAME}"]
    loaded = load_file(tmp_path / f"{MOBILENET}.safetensors")
    assert torch.equal(loaded["model.conv_stem.weight"], mobilenet["conv_stem.weight"])
    loaded = load_file(tmp_path / f"{OLD_NAME}.safetensors")
    kernel = "patch_embed.proj.weight"
    assert torch.equal(loaded[f"model.{kernel}"], vit[kernel])
    assert loaded["model.pos_embed"].shape == (1, 1 + 6 * 6, 192)  # of 224 / 16 = 14 each way

    hub.is_down = True
    hub.requests.clear()
    again, refused = hub.load(MOBILENET, "resnet18")
    assert again == origin
    assert "backbone resnet18: its ImageNet weights could not be fetched" in refused[0]
    assert "503" in refused[0]
    for_resnet = [path for _, path in hub.requests if "resnet18" in path]
    assert len(for_resnet) == 1  # left alone, the library asks seven times, for 45 seconds


def test_without_a_network_the_three_ways_out_are_named_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    spec = TimmBackboneSpec(name="resnet18")
    backbone = build_backbone(spec, 64)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits to try again"))
    with pytest.raises(WeightsError) as caught:
        load_backbone_weights(backbone, spec, None)
    assert "resnet18" in caught.value.given
    assert "Name or service not known" in caught.value.given
    assert "huggingface.co" in caught.value.expected
    for way_out in (
        "--weights FILE",
        "--set backbone.name=tf_efficientnet_lite0",
        "--weights none",
    ):
        assert way_out in caught.value.remedy
    assert capfd.readouterr().err == ""


def test_a_network_of_which_timm_has_no_weights_is_refused_without_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked the network"))
    spec = TimmBackboneSpec(name="ghostnet_050")
    with pytest.raises(WeightsError, match="no pretrained weights") as caught:
        load_backbone_weights(build_backbone(spec, 64), spec, None)
    assert "--weights FILE" in caught.value.remedy
