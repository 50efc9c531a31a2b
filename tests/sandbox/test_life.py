"""A sandbox starts, keeps what it was given, bears a crowd, and leaves nothing behind."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from providers.sandbox import Sandbox, SandboxError, Settings, Switches, serve
from providers.sandbox.images import digest_of
from tests.sandbox.helpers import Http
from tests.waits import PATIENCE


def test_everything_survives_a_restart(tmp_path):
    settings = Settings(folder=tmp_path)
    with Sandbox(settings) as sandbox:
        before = sandbox.platform.create_processing("app", default_parameters={"naïve": [1.5, None]})
        sandbox.platform.add_input("app", "text")
        sandbox.platform.create_model("Apples")
        sandbox.platform.create_version("Apples", "v1", framework="ONNX")
        http = Http(sandbox, sandbox.token)
        with http.session:
            http("POST", "/v2/app/blobs/uploads/", params={"digest": digest_of(b"{}")}, data=b"{}")
    with Sandbox(settings) as sandbox:
        assert sandbox.platform.processing("app") == before
        assert [given["name"] for given in sandbox.platform.inputs("app")] == ["text"]
        assert sandbox.platform.version("Apples", "v1")["framework"] == "ONNX"
        http = Http(sandbox, sandbox.token)
        with http.session:
            assert http("GET", f"/v2/app/blobs/{digest_of(b'{}')}").content == b"{}"
            assert http("GET", "/v2/base/python/manifests/3.11").status_code == 200


def test_organizations_do_not_see_each_other():
    with Sandbox(Settings(organizations=("north", "south"))) as sandbox:
        http = Http(sandbox, sandbox.token)
        with http.session:
            ids = {
                name: http("GET", f"/api/organizations/find?name={name}").json()["id"]
                for name in ("north", "south")
            }
            assert http("GET", "/api/home/ping").json()["default_organization"] == ids["north"]
            for id_ in ids.values():
                path = f"/api/organization/{id_}/models"
                assert http("POST", path, json={"name": "Apples"}).status_code == 201
                assert http("GET", path).json()["count"] == 1
            model = http("GET", f"/api/organization/{ids['north']}/models/find?name=Apples").json()
            stranger = f"/api/organization/{ids['south']}/models/find?id={model['id']}"
            assert http("GET", stranger).status_code == 404


def test_switches_can_be_turned_from_the_start():
    with Sandbox(Settings(switches=Switches(unknown_enums=True), seed_base=False)) as sandbox:
        assert len(sandbox.platform.processings()) == 1
        sandbox.reset()
        assert len(sandbox.platform.processings()) == 1
        with requests.get(f"http://{sandbox.registry}/v2/_catalog", timeout=30) as answer:
            assert answer.json() == {"repositories": []}


def test_a_port_that_is_taken_is_said_at_once(sandbox):
    with pytest.raises(OSError), Sandbox(Settings(port=sandbox.port)):
        pass
    with pytest.raises(OSError):
        serve(Settings(port=sandbox.port))
    with pytest.raises(SandboxError, match="in use"), Sandbox(Settings(port=sandbox.port), subprocess=True):
        pass


def test_a_folder_belongs_to_one_sandbox_at_a_time(tmp_path):
    with Sandbox(Settings(folder=tmp_path)), pytest.raises(OSError, match="another sandbox"):
        serve(Settings(folder=tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(OSError), Sandbox(Settings(folder=tmp_path / "file")):
        pass


def test_a_sandbox_in_its_own_process_is_the_same(tmp_path):
    with Sandbox(Settings(folder=tmp_path), subprocess=True) as sandbox:
        sandbox.platform.create_model("Apples")
        sandbox.switch(echo="certain")
        assert sandbox.registry == f"localhost:{sandbox.port}"
    with Sandbox(Settings(folder=tmp_path)) as sandbox:
        assert sandbox.platform.model("Apples") is not None


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serving_ends_cleanly_on_a_signal(number, tmp_path):
    script = """
import sys, tempfile
from providers.sandbox import Settings, serve
tempfile.tempdir = sys.argv[1]
serve(on_ready=lambda address: print(address.url, flush=True))
print("bye", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    url = process.stdout.readline().strip()
    with requests.get(f"{url}/v2/", timeout=30) as answer:
        assert answer.status_code == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "bye\n", "")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_package_loads_no_framework():
    script = """
import json, sys
import providers.sandbox
print(json.dumps([name for name in ("uvicorn", "starlette", "pydantic", "requests") if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout) == []


def test_a_crowd_of_clients_gets_all_its_answers(sandbox):
    def work(number: int) -> list[int]:
        http = Http(sandbox, sandbox.token)
        with http.session:
            processings = http.organization("processings")
            body = {
                "name": f"app-{number}",
                "target": "DATALAKE",
                "default_cpu": 1,
                "default_gpu": 0,
                "default_parameters": {},
                "docker_image": "app",
                "docker_tag": "1",
            }
            created = http("POST", processings, json=body)
            path = f"/api/processing/{created.json()['id']}"
            statuses = [created.status_code, http("POST", processings, json=body).status_code]
            statuses.append(http("PATCH", path, json={"default_cpu": number}).status_code)
            upload = http("POST", "/v2/crowd/blobs/uploads/").headers["Location"]
            content = b"x" * 100_000 + str(number).encode()
            done = http("PUT", upload, params={"digest": digest_of(content)}, data=content)
            statuses.append(done.status_code)
            return statuses

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(work, range(96)))
    assert answers == [[201, 409, 200, 201]] * 96
    cpus = {live["name"]: live["default_cpu"] for live in sandbox.platform.processings()}
    assert cpus == {f"app-{number}": number for number in range(96)}
