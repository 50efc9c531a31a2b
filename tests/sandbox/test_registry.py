"""Pushing and pulling as registry clients do it, request by request."""

import json

import pytest

from providers.sandbox.images import OCI_MANIFEST, digest_of

BASE = "/v2/base/python"
CONTENT = b"0123456789" * 100


def push_blob(docker, repository: str, content: bytes) -> str:
    begun = docker("POST", f"/v2/{repository}/blobs/uploads/")
    assert begun.status_code == 202
    digest = digest_of(content)
    done = docker("PUT", begun.headers["Location"], params={"digest": digest}, data=content)
    assert (done.status_code, done.headers["Docker-Content-Digest"]) == (201, digest)
    return digest


def manifest_of(*blobs: bytes) -> bytes:
    config, *layers = [{"digest": digest_of(blob), "size": len(blob)} for blob in blobs]
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    ).encode()


def put_manifest(docker, repository: str, reference: str, content: bytes, media_type: str = OCI_MANIFEST):
    path = f"/v2/{repository}/manifests/{reference}"
    return docker("PUT", path, data=content, headers={"Content-Type": media_type})


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


def test_an_image_is_pushed_and_pulled(docker):
    assert docker("GET", "/v2/").status_code == 200
    push_blob(docker, "team/app", b"{}")
    layer = push_blob(docker, "team/app", CONTENT)
    manifest = manifest_of(b"{}", CONTENT)

    pushed = put_manifest(docker, "team/app", "1.0.0", manifest)
    assert pushed.status_code == 201

    for reference in ("1.0.0", digest_of(manifest)):
        pulled = docker("GET", f"/v2/team/app/manifests/{reference}")
        assert pulled.content == manifest
        assert pulled.headers["Content-Type"] == OCI_MANIFEST
        assert pulled.headers["Docker-Content-Digest"] == digest_of(manifest)
    head = docker("HEAD", "/v2/team/app/manifests/1.0.0")
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(manifest)))

    assert docker("GET", f"/v2/team/app/blobs/{layer}").content == CONTENT
    head = docker("HEAD", f"/v2/team/app/blobs/{layer}")
    assert (head.status_code, head.headers["Content-Length"]) == (200, "1000")
    assert docker("GET", "/v2/team/app/tags/list").json() == {"name": "team/app", "tags": ["1.0.0"]}


def test_part_of_a_blob(docker):
    layer = push_blob(docker, "app", CONTENT)
    part = docker("GET", f"/v2/app/blobs/{layer}", headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, b"56789")
    assert part.headers["Content-Range"] == "bytes 5-9/1000"
    beyond = docker("GET", f"/v2/app/blobs/{layer}", headers={"Range": "bytes=2000-"})
    assert beyond.status_code == 416


def test_a_blob_in_chunks(docker):
    upload = docker("POST", "/v2/app/blobs/uploads/").headers["Location"]
    first = docker("PATCH", upload, data=CONTENT[:600], headers={"Content-Range": "0-599"})
    assert (first.status_code, first.headers["Range"]) == (202, "0-599")

    again = docker("PATCH", upload, data=CONTENT[:600], headers={"Content-Range": "0-599"})
    assert (again.status_code, again.headers["Range"]) == (416, "0-599")
    status = docker("GET", upload)
    assert (status.status_code, status.headers["Range"]) == (204, "0-599")

    second = docker("PATCH", upload, data=CONTENT[600:], headers={"Content-Range": "600-999"})
    assert second.headers["Range"] == "0-999"
    done = docker("PUT", upload, params={"digest": digest_of(CONTENT)})
    assert done.status_code == 201
    assert docker("GET", done.headers["Location"]).content == CONTENT
    assert code(docker("GET", upload)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_blob_in_one_request_and_of_unknown_length(docker):
    answer = docker("POST", "/v2/app/blobs/uploads/", params={"digest": digest_of(CONTENT)}, data=CONTENT)
    assert answer.status_code == 201
    upload = docker("POST", "/v2/app/blobs/uploads/").headers["Location"]
    docker("PATCH", upload, data=iter([b"a", b"b"]))
    assert docker("PUT", upload, params={"digest": digest_of(b"ab")}).status_code == 201


def test_a_blob_is_mounted_from_another_repository(docker):
    layer = push_blob(docker, "one", CONTENT)
    assert code(docker("GET", f"/v2/two/blobs/{layer}")) == (404, "BLOB_UNKNOWN")
    mounted = docker("POST", "/v2/two/blobs/uploads/", params={"mount": layer, "from": "one"})
    assert mounted.status_code == 201
    assert docker("GET", f"/v2/two/blobs/{layer}").content == CONTENT
    missing = docker("POST", "/v2/two/blobs/uploads/", params={"mount": digest_of(b"?"), "from": "one"})
    assert missing.status_code == 202  # an upload begins instead


def test_content_must_have_its_digest(docker):
    upload = docker("POST", "/v2/app/blobs/uploads/").headers["Location"]
    wrong = digest_of(b"something else")
    assert code(docker("PUT", upload, params={"digest": wrong}, data=CONTENT)) == (400, "DIGEST_INVALID")
    assert code(docker("GET", f"/v2/app/blobs/{wrong}")) == (404, "BLOB_UNKNOWN")
    assert code(put_manifest(docker, "app", wrong, manifest_of(b"{}"))) == (400, "DIGEST_INVALID")


def test_a_manifest_needs_its_parts_and_a_known_type(docker):
    manifest = manifest_of(b"{}")
    assert code(put_manifest(docker, "app", "1", manifest)) == (404, "MANIFEST_BLOB_UNKNOWN")
    push_blob(docker, "app", b"{}")
    assert code(put_manifest(docker, "app", "1", manifest, "text/plain")) == (400, "MANIFEST_INVALID")
    assert code(put_manifest(docker, "app", "1", b"[]")) == (400, "MANIFEST_INVALID")
    assert code(put_manifest(docker, "app", "-", manifest)) == (400, "TAG_INVALID")
    assert put_manifest(docker, "app", "1", manifest).status_code == 201


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ],
)
def test_an_index_over_images(docker, media_type):
    push_blob(docker, "app", b"{}")
    child = manifest_of(b"{}")
    entry = {"mediaType": OCI_MANIFEST, "digest": digest_of(child), "size": len(child)}
    index = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}).encode()
    assert code(put_manifest(docker, "app", "all", index, media_type)) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert put_manifest(docker, "app", digest_of(child), child).status_code == 201
    assert put_manifest(docker, "app", "all", index, media_type).status_code == 201
    assert docker("GET", "/v2/app/manifests/all").headers["Content-Type"] == media_type


def test_a_tag_moves_and_is_deleted_while_the_image_stays(docker):
    push_blob(docker, "app", b"{}")
    push_blob(docker, "app", CONTENT)
    old, new = manifest_of(b"{}"), manifest_of(b"{}", CONTENT)
    for tag in ("1", "latest"):
        put_manifest(docker, "app", tag, old)
    put_manifest(docker, "app", "latest", new)
    assert docker("GET", "/v2/app/manifests/latest").content == new
    assert docker("GET", "/v2/app/manifests/1").content == old

    assert docker("DELETE", "/v2/app/manifests/latest").status_code == 202
    assert code(docker("GET", "/v2/app/manifests/latest")) == (404, "MANIFEST_UNKNOWN")
    assert docker("GET", f"/v2/app/manifests/{digest_of(new)}").status_code == 200
    assert docker("DELETE", f"/v2/app/manifests/{digest_of(old)}").status_code == 202
    assert docker("GET", "/v2/app/tags/list").json()["tags"] == []


def test_lists_come_in_pages(docker):
    push_blob(docker, "app", b"{}")
    for tag in "abc":
        put_manifest(docker, "app", tag, manifest_of(b"{}"))
    page = docker("GET", "/v2/app/tags/list?n=2")
    assert page.json()["tags"] == ["a", "b"]
    rest = docker("GET", page.links["next"]["url"])
    assert rest.json()["tags"] == ["c"]
    assert not rest.links
    assert docker("GET", "/v2/_catalog").json() == {"repositories": ["app", "base/python"]}
    assert code(docker("GET", "/v2/nowhere/tags/list")) == (404, "NAME_UNKNOWN")


def test_uploads_and_blobs_can_be_given_up(docker):
    upload = docker("POST", "/v2/app/blobs/uploads/").headers["Location"]
    assert docker("DELETE", upload).status_code == 204
    assert docker("GET", upload).status_code == 404
    layer = push_blob(docker, "app", CONTENT)
    assert docker("DELETE", f"/v2/app/blobs/{layer}").status_code == 202
    assert docker("HEAD", f"/v2/app/blobs/{layer}").status_code == 404


def test_names_and_calls_are_checked(docker):
    assert code(docker("GET", "/v2/UPPER/tags/list")) == (400, "NAME_INVALID")
    assert code(docker("GET", "/v2/app/blobs/md5:1")) == (400, "DIGEST_INVALID")
    assert code(docker("GET", "/v2/app/moon")) == (404, "UNSUPPORTED")
    assert code(docker("DELETE", "/v2/app/manifests/none")) == (404, "MANIFEST_UNKNOWN")


def test_a_registry_that_wants_a_password(sandbox, docker):
    sandbox.switch(registry_auth=True)
    refused = docker("GET", "/v2/")
    assert code(refused) == (401, "UNAUTHORIZED")
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert docker("GET", "/v2/", auth=("me", "wrong")).status_code == 401
    assert docker("GET", "/v2/", auth=("me", sandbox.token)).status_code == 200
    reader = ("me", sandbox.read_only_token)
    assert docker("GET", f"{BASE}/tags/list", auth=reader).status_code == 200
    assert code(docker("POST", f"{BASE}/blobs/uploads/", auth=reader)) == (403, "DENIED")


def test_the_base_image_is_whole_and_always_the_same(sandbox, docker):
    manifest = docker("GET", f"{BASE}/manifests/3.11")
    config_entry = manifest.json()["config"]
    config = docker("GET", f"{BASE}/blobs/{config_entry['digest']}").json()
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"]["Cmd"] == ["python3"]
    layers = manifest.json()["layers"]
    assert len(layers) == len(config["rootfs"]["diff_ids"]) == len(config["history"])
    for layer in layers:
        content = docker("GET", f"{BASE}/blobs/{layer['digest']}").content
        assert (digest_of(content), len(content)) == (layer["digest"], layer["size"])
    sandbox.reset()
    assert docker("GET", f"{BASE}/manifests/3.11").content == manifest.content


def test_referrers_are_listed_by_the_image_that_they_refer_to(docker):
    push_blob(docker, "app", b"{}")
    subject = manifest_of(b"{}")
    one, other = (
        json.dumps(
            {
                **json.loads(subject),
                "artifactType": kind,
                "subject": {"mediaType": OCI_MANIFEST, "size": len(subject), "digest": digest_of(subject)},
                "annotations": {"a": kind},
            }
        ).encode()
        for kind in ("application/x-one", "application/x-other")
    )
    path = f"/v2/app/referrers/{digest_of(subject)}"
    assert docker("GET", path).json()["manifests"] == []  # of an image that is not there yet
    for content in (one, other):
        pushed = put_manifest(docker, "app", digest_of(content), content)
        assert (pushed.status_code, pushed.headers["OCI-Subject"]) == (201, digest_of(subject))
    assert "OCI-Subject" not in put_manifest(docker, "app", "1.0.0", subject).headers

    answer = docker("GET", path)
    assert answer.headers["Content-Type"] == "application/vnd.oci.image.index.v1+json"
    assert {(entry["digest"], entry["size"], entry["artifactType"], entry["annotations"]["a"])
            for entry in answer.json()["manifests"]} == {
        (digest_of(content), len(content), kind, kind)
        for content, kind in ((one, "application/x-one"), (other, "application/x-other"))
    }  # fmt: skip
    filtered = docker("GET", path, params={"artifactType": "application/x-one"})
    assert [entry["digest"] for entry in filtered.json()["manifests"]] == [digest_of(one)]
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert docker("GET", f"/v2/other/referrers/{digest_of(subject)}").json()["manifests"] == []
    assert code(docker("GET", "/v2/app/referrers/latest")) == (400, "DIGEST_INVALID")

    docker("DELETE", f"/v2/app/manifests/{digest_of(one)}")
    assert [entry["digest"] for entry in docker("GET", path).json()["manifests"]] == [digest_of(other)]
    broken = {**json.loads(one), "subject": {"digest": "x"}}
    assert code(put_manifest(docker, "app", "x", json.dumps(broken).encode())) == (400, "MANIFEST_INVALID")
