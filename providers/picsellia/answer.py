"""The platform's responses as typed values: names, identities and lists are checked.

Field values stay JSON as received, and the engine compares them; a single value is never a list or an object.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from providers.collection import BodyKey
from providers.errors import UnexpectedError
from providers.json_value import JSON


class Page(Struct, frozen=True):
    """One page of a list.

    Attributes:
        items: identity and object, in the order of the list.
        count: number of objects on all pages; None if the platform does not return it.
    """

    items: list[tuple[str, "Answer"]]
    count: int | None


class Answer(dict[str, JSON]):
    """A JSON object from the platform, at any depth. Raises UnexpectedError for a missing required key."""

    writing = False

    def __missing__(self, key: str) -> JSON:
        raise self._odd(f"has no {key!r}")

    def text(self, key: str) -> str:
        """A name or an identity. Raises UnexpectedError for any other value."""
        value = self[key]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value:
            raise self._odd(f"has a {key!r} that is not text")
        return value

    def fields(self, names: Iterable[str], keys: Mapping[str, BodyKey]) -> dict[str, JSON]:
        """The values of these fields, as far as this response has them.

        Args:
            keys: the types of the fields in requests.

        Raises:
            UnexpectedError: a field has a list or an object where a request has a text, a number or a flag.
        """
        found = {name: self[name] for name in names if name in self}
        for name, value in found.items():
            if isinstance(value, dict | list) and keys[name].type in (str, int, bool):
                raise self._odd(
                    f"has a {name!r} that is {'an object' if isinstance(value, dict) else 'a list'}"
                )
        return found

    def label(self) -> str:
        """The name of a listed object; its id if it has none."""
        name = self.get("name")
        return name if isinstance(name, str) and name else self.text("id")

    def modified(self) -> dict[str, JSON]:
        """The time and the user of the last change, if the platform returns them."""
        found = {"modified_at": self.get("updated_at"), "modified_by": self.get("updated_by")}
        return {name: value for name, value in found.items() if isinstance(value, str) and value}

    def page(self, identity: str) -> Page:
        """This response as a page of a list, with this key as the identity. Raises UnexpectedError."""
        items, count = self["items"], self.get("count")
        if not isinstance(items, list):
            raise self._odd("has 'items' that are not a list")
        if not all(isinstance(item, Answer) for item in items):
            raise self._odd("has 'items' that are not objects")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            count = None
        return Page([(item.text(identity), item) for item in items], count)

    def _odd(self, problem: str) -> UnexpectedError:
        return UnexpectedError(
            f"the platform's response {problem}",
            hint="is it the address of a Picsellia platform?",
            outcome_unknown=self.writing,
        )


class WriteAnswer(Answer):
    """The response to a write. If it is malformed, the outcome of the write is unknown."""

    writing = True
