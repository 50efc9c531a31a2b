"""The index of the names in a store finds what reading all of them finds."""

from hypothesis import given
from hypothesis import strategies as st

from providers.image_names import normal_name
from reconciler.engine.older_state import StoredNames

part = st.sampled_from(["app", "library", "docker.io", "index.docker.io", "reg.io", "user", "App", ""])
ends = st.lists(part, min_size=1, max_size=3).map("/".join)
names = st.builds("{}/{}".format, st.sampled_from(["my-org@PROD", "a/b@h.example.com", "my-org@h:80"]), ends)


@given(stored=st.lists(names | ends), end=ends)
def test_a_name_is_found_by_its_end_in_any_form(stored: list[str], end: str) -> None:
    def ends_alike(name: str) -> bool:
        parts = name.split("/")
        return any(
            normal_name("/".join(parts[start:])) == normal_name(end)
            for start in range(1, len(parts))
            if any(parts[start:])
        )

    found = StoredNames(stored).ending_in(end)
    if end.strip("/"):
        assert set(found) == set(filter(ends_alike, stored))
