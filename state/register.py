"""The register of a scope: the source of each stack, and the stack that claims each exclusive resource. Pure.

A scope is an organization on a platform: `my-org@STAGING`. A claim is the right of one stack to write one
resource. A store keeps one register per scope beside the states, and replaces it by compare-and-swap.

    {"format": "reconciler/register", "version": 1, "scope": …, "serial": …,
     "stacks": {STACK: {"workspace": …, "folder": …}},
     "claims": {ADDRESS: {"stack": …, "id": …, "since": …, "place": …}}}

All stacks of a scope read and replace it, so its text is parsed and written by its type: several times faster
than as a document.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, TypeVar

from msgspec import MsgspecError, Struct, field
from msgspec.json import Decoder, Encoder
from msgspec.structs import replace

from state.document import dumps, loads
from state.errors import CorruptStateError, NewerFormatError
from state.snapshot import JSON, Snapshot, UncheckedJSON
from state.typed_fields import is_time

FORMAT: Final = "reconciler/register"
VERSION: Final = 1

ExclusiveKinds = Mapping[str, bool]
"""Each kind whose resources belong to one stack at a time -> whether an id identifies one under any name."""


class Claim(Struct, frozen=True, forbid_unknown_fields=True):
    """The right of one stack to write one resource.

    Attributes:
        stack: the stack that holds it.
        id: the provider's identity of the object; None until it exists, and for kinds without an identity.
        since: time of the claim, ISO 8601 with its offset from UTC.
        place: where the files declare the resource: `pipelines/a/config.toml:12`, from the root of the
            workspace; "" if unknown.
    """

    stack: str
    id: str | None
    since: str
    place: str = ""


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a stack was last applied from.

    Attributes:
        workspace: the git remote in its normal form, or `[workspace] name`; "" if there is neither.
        folder: the folder of the pipeline from the root of the workspace, with slashes; "" if unknown.
    """

    workspace: str
    folder: str


UNKNOWN_SOURCE: Final = Source("", "")


class Register(Struct, frozen=True, dict=True):
    """The stacks and claims of one scope.

    Attributes:
        scope: the organization and the platform.
        serial: 0 before the first save; each save adds one.
        stacks: the source of each stack that has resources.
        claims: the claims by address.
    """

    scope: str
    serial: int = 0
    stacks: Mapping[str, Source] = field(default_factory=dict)
    claims: Mapping[str, Claim] = field(default_factory=dict)

    @cached_property
    def _by_id(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """The addresses of each object: one, unless an earlier version left two claims on it."""
        return _with_entries({}, self.claims)

    def matching(self, address: str, ids: Iterable[str | None] = ()) -> dict[str, Claim]:
        """The claims of a resource: of this address, and of the same kind and one of these ids."""
        others = [other for id in ids if id for other in self._by_id.get((kind_of(address), id), ())]
        return {found: self.claims[found] for found in (address, *others) if found in self.claims}

    def of_others(self, stack: str, address: str, ids: Iterable[str | None] = ()) -> dict[str, Claim]:
        """As `matching`, without the claims of this stack."""
        return {found: one for found, one in self.matching(address, ids).items() if one.stack != stack}

    def below(self, kind: str, name: str) -> Iterator[tuple[str, Claim]]:
        """The claims of this kind on objects that belong to the object of this name."""
        for address, claim in self.claims.items():
            if address.startswith(f"{kind}/{name}/"):
                yield address, claim

    def with_claims(self, claims: Mapping[str, Claim]) -> "Register":
        """The register with these claims, which replace all others on the same resources."""
        if all(self.claims.get(address) == claim for address, claim in claims.items()):
            return self  # most applies change no claim, and a copy takes as long as the register is large
        replaced = {other for address, one in claims.items() for other in self.matching(address, [one.id])}
        kept, index = {**self.claims}, {**self._by_id}
        for address in replaced:
            if id := kept.pop(address).id:
                key = kind_of(address), id
                index[key] = tuple(other for other in index[key] if other != address)
        after = self._with(claims={**kept, **claims})
        # All stacks of a scope change it: to index it again each time took longer than all else.
        after.__dict__["_by_id"] = _with_entries(index, claims)
        return after

    def with_free(self, claims: Mapping[str, Claim]) -> "Register":
        """The register with those of these claims that are on resources without one."""
        free = {a: claim for a, claim in claims.items() if not self.matching(a, [claim.id])}
        return self._with(claims={**self.claims, **free}) if free else self

    def with_source(self, stack: str, source: Source) -> "Register":
        return self if self.stacks.get(stack) == source else self._with(stacks={**self.stacks, stack: source})

    def without_source(self, stack: str) -> "Register":
        """The register without the entry of a stack: it may lack some of its claims."""
        return self._with(stacks={name: source for name, source in self.stacks.items() if name != stack})

    def with_states(self, states: Iterable[Snapshot], exclusive: ExclusiveKinds) -> "Register":
        """The register with the resources of states that were saved without claims. Claims of others stay.

        If several of the states have the same resource, the one that was saved last holds the claim: the live
        object has its values.
        """
        latest_first = sorted(states, key=lambda state: (state.written_at, state.stack), reverse=True)
        if not latest_first:
            return self
        stacks, claims, by_id = {**self.stacks}, {**self.claims}, {*self._by_id}
        for state in latest_first:
            if state.resources or state.intents:
                stacks.setdefault(state.stack, UNKNOWN_SOURCE)
            unclaimed = {
                address: claim
                for address, claim in recorded_claims(state, exclusive, since=state.written_at).items()
                if address not in claims and (kind_of(address), claim.id) not in by_id
            }
            claims |= unclaimed
            by_id |= {(kind_of(address), one.id) for address, one in unclaimed.items() if one.id}
        if (len(stacks), len(claims)) == (len(self.stacks), len(self.claims)):
            return self
        return self._with(stacks=stacks, claims=claims)

    def without_claims(self, addresses: Iterable[str]) -> "Register":
        dropped = set(addresses) & self.claims.keys()
        if not dropped:
            return self
        return self._with(claims={a: claim for a, claim in self.claims.items() if a not in dropped})

    def without_stack(self, stack: str) -> "Register":
        """The register without the stack and its claims."""
        return self._with(
            stacks={name: source for name, source in self.stacks.items() if name != stack},
            claims={a: claim for a, claim in self.claims.items() if claim.stack != stack},
        )

    def with_addresses(self, present: Callable[[str], str]) -> "Register":
        """The register with other addresses. If two become one, the later claim counts: it wrote the object.

        Args:
            present: returns the address to use instead of one.
        """
        if all(present(address) == address for address in self.claims):
            return self
        by_age = sorted(self.claims.items(), key=lambda entry: entry[1].since)
        return self._with(claims={present(address): claim for address, claim in by_age})

    def claims_of(self, stack: str) -> dict[str, Claim]:
        return {address: claim for address, claim in self.claims.items() if claim.stack == stack}

    def with_stack_of(self, other: "Register", before: str, after: str) -> "Register":
        """The register with a stack of another one under the name `after`. Claims of others stay."""
        claims = {
            address: replace(claim, stack=after)
            for address, claim in other.claims_of(before).items()
            if not self.of_others(after, address, [claim.id])
        }
        source = other.stacks.get(before)
        result = self.with_claims(claims)
        return result if source is None else result.with_source(after, source)

    def renamed(self, before: str, after: str) -> "Register":
        """The register with the name `after` for the stack `before`."""
        return self.without_stack(before).with_stack_of(self, before, after)

    def only(self, stacks: Set[str]) -> "Register":
        """The register with these stacks alone."""
        return self._with(
            stacks={stack: source for stack, source in self.stacks.items() if stack in stacks},
            claims={address: claim for address, claim in self.claims.items() if claim.stack in stacks},
        )

    def with_copied(self, other: "Register", stacks: Set[str]) -> "Register":
        """The register with these stacks as another one has them, which has no others.

        Claims of other stacks stay, also on resources that the other register gives to one of these.
        """
        kept = self.only({*self.stacks, *(claim.stack for claim in self.claims.values())} - stacks)
        return kept._with(stacks={**kept.stacks, **other.stacks}).with_free(other.claims)

    def stacks_from(self, source: Source) -> list[str]:
        """The stacks that were last applied from this source."""
        return [stack for stack, known in self.stacks.items() if known == source]

    def _with(self, **changed: Any) -> "Register":
        kept = {"scope": self.scope, "serial": self.serial, "stacks": self.stacks, "claims": self.claims}
        return Register(**{**kept, **changed})


def scope_of(stack: str) -> str:
    """The scope of a stack: `my-org@STAGING`; "" for a name without one."""
    scope, slash, _ = stack.partition("/")
    return scope if slash else ""


def kind_of(address: str) -> str:
    return address.partition("/")[0]


def register_from_states(scope: str, states: Iterable[Snapshot], exclusive: ExclusiveKinds) -> Register:
    """The register of states that were saved before registers existed."""
    return Register(scope).with_states(states, exclusive)


def recorded_claims(state: Snapshot, exclusive: ExclusiveKinds, *, since: str) -> dict[str, Claim]:
    """A claim for each exclusive resource in a state, including those of unfinished writes."""
    ids: dict[str, str | None] = dict.fromkeys(state.intents)
    ids |= {address: resource.id for address, resource in state.resources.items()}
    return {
        address: Claim(state.stack, id if exclusive[kind_of(address)] else None, since)
        for address, id in ids.items()
        if kind_of(address) in exclusive
    }


def supports(state: Snapshot | None, address: str) -> bool:
    """Whether a state has a resource, or an unfinished write of it."""
    return state is not None and (address in state.resources or address in state.intents)


def _with_entries(
    index: Mapping[tuple[str, str], tuple[str, ...]], claims: Mapping[str, Claim]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """An index of addresses by kind and id, with those of these claims."""
    found = {**index}
    for address, one in claims.items():
        if one.id:
            key = kind_of(address), one.id
            found[key] = (*found.get(key, ()), address)
    return found


# The document


class _Document(Struct, forbid_unknown_fields=True, omit_defaults=True):
    format: str
    version: int
    scope: str
    serial: int
    stacks: Mapping[str, Source]
    claims: Mapping[str, Claim]
    write: str = ""


_DECODER: Final = Decoder(_Document)
_ENCODER: Final = Encoder(order="sorted")


def to_text(register: Register, write: str = "") -> str:
    """The register as JSON text: one line, sorted keys, ASCII only.

    Args:
        write: the id of this write, by which a store recognizes it; "" for none.
    """
    it = register
    document = _Document(FORMAT, VERSION, it.scope, it.serial, it.stacks, it.claims, write)
    with suppress(UnicodeEncodeError):  # half a surrogate pair, which has no UTF-8 form
        text = _ENCODER.encode(document)
        if text.isascii():
            return text.decode("ascii")
    return dumps({**to_document(register), **({"write": write} if write else {})})


def from_text(text: str, scope: str) -> tuple[Register, str]:
    """The register in a text by `to_text`, and the id of its write.

    Raises: as `from_document`.
    """
    with suppress(MsgspecError, UnicodeEncodeError, RecursionError):
        found = _DECODER.decode(text)
        if (found.format, found.version, found.scope) == (FORMAT, VERSION, scope) and found.serial > 0:
            register = Register(scope, found.serial, found.stacks, found.claims)
            _check_claims(register.claims)
            return register, found.write
    document = loads(text)  # the way of all texts, and slower: it says what is wrong
    write = document.pop("write", "") if isinstance(document, dict) else ""
    if not isinstance(write, str):
        raise CorruptStateError(f"the id of its write is {write!r}")
    return from_document(document, scope), write


def to_document(register: Register) -> dict[str, JSON]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "scope": register.scope,
        "serial": register.serial,
        "stacks": {stack: _to_entry(source) for stack, source in register.stacks.items()},
        "claims": {address: _to_entry(claim) for address, claim in register.claims.items()},
    }


def _to_entry(one: Source | Claim) -> dict[str, JSON]:
    # Not `asdict`, which copies each text: a register of a thousand stacks is written often.
    return {name: getattr(one, name) for name in one.__struct_fields__}


def from_document(document: UncheckedJSON, scope: str) -> Register:
    """The register of a document by `to_document`.

    Raises:
        NewerFormatError: a newer reconciler wrote it.
        CorruptStateError: it is not the register of this scope; the message says why.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CorruptStateError(f'it lacks "format": "{FORMAT}"')
    version = document.get("version")
    if type(version) is int and version > VERSION:
        raise NewerFormatError(
            f"a newer reconciler wrote the register of {scope}: it has format version {version}, "
            f"this version reads up to {VERSION}",
            hint="pip install --upgrade picsellia-reconciler",
        )
    if type(version) is not int or version < 1:
        raise CorruptStateError(f"it has the invalid format version {version!r}")
    keys = {"format", "version", "scope", "serial", "stacks", "claims"}
    if document.keys() != keys:
        raise CorruptStateError(f"it has {sorted(document)} instead of {sorted(keys)}")
    if document["scope"] != scope:
        raise CorruptStateError(f"it is the register of {document['scope']!r}")
    if type(document["serial"]) is not int or document["serial"] < 1:
        raise CorruptStateError(f"its serial is {document['serial']!r}")
    stacks, claims = (_entries(document[name], kind) for name, kind in _PARTS.items())
    _check_claims(claims)
    return Register(scope, document["serial"], stacks, claims)


def _check_claims(claims: Mapping[str, Claim]) -> None:
    for address, claim in claims.items():
        if not address.partition("/")[2] or not claim.stack:
            raise CorruptStateError(f"the claim of {address!r} lacks an address or a stack")
        if not is_time(claim.since):
            raise CorruptStateError(f"the claim of {address} has no time with its offset from UTC")


_PARTS: Mapping[str, Any] = {"stacks": Source, "claims": Claim}
_Part = TypeVar("_Part", bound=Struct)


def _entries(entries: UncheckedJSON, kind: type[_Part]) -> dict[str, Any]:
    if not isinstance(entries, dict):
        raise CorruptStateError("its stacks or claims are not an object")
    names = {*kind.__struct_fields__}
    optional = {*kind.__struct_fields__[len(names) - len(kind.__struct_defaults__) :]}
    found = {}
    for key, entry in entries.items():
        if not isinstance(entry, dict) or entry.keys() | optional != names:
            raise CorruptStateError(f"the entry of {key!r} is not an object with {', '.join(sorted(names))}")
        wrong = [n for n, value in entry.items() if not isinstance(value, str) and (n, value) != ("id", None)]
        if wrong:
            raise CorruptStateError(f"{wrong[0]} of {key!r} has the wrong type")
        found[key] = kind(**entry)
    return found
