"""What the platform answers, as typed values: whatever it says becomes one of these, or a provider error.

Field values stay JSON as they came: comparing them is the engine's. Names, identities and lists are checked.
"""

from dataclasses import dataclass

from providers.errors import UnexpectedError
from providers.rules import JSON


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        items: each with its identity, in the list's order.
        count: objects on all pages; None where the platform does not say.
    """

    items: list[tuple[str, "Answer"]]
    count: int | None


class Answer(dict[str, JSON]):
    """A JSON object from the platform, at any depth. What we need and it lacks is the platform's error."""

    writing = False

    def __missing__(self, key: str) -> JSON:
        raise self._odd(f"has no {key!r}")

    def text(self, key: str) -> str:
        """A name or an identity. Raises PermanentError where it is none."""
        value = self[key]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value:
            raise self._odd(f"has a {key!r} that is no text")
        return value

    def modified(self) -> dict[str, JSON]:
        """When and by whom the object was changed last, as far as the platform returns it."""
        given = {"modified_at": self.get("updated_at"), "modified_by": self.get("updated_by")}
        return {name: value for name, value in given.items() if isinstance(value, str) and value}

    def page(self, identity: str) -> Page:
        """As the answer of a list, whose objects are told apart by this key. Raises PermanentError."""
        items, count = self["items"], self.get("count")
        if not isinstance(items, list):
            raise self._odd("has 'items' that are no list")
        if not all(isinstance(item, Answer) for item in items):
            raise self._odd("has 'items' that are no objects")
        known = isinstance(count, int) and not isinstance(count, bool) and count >= 0
        return Page([(item.text(identity), item) for item in items], count if known else None)

    def _odd(self, what: str) -> UnexpectedError:
        return UnexpectedError(
            f"the platform's answer {what}",
            hint="is it a Picsellia platform that answers?",
            outcome_unknown=self.writing,
        )


class WriteAnswer(Answer):
    """The response to a write. If it is malformed, the outcome of the write is unknown."""

    writing = True
