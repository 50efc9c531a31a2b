"""`contract`: the contract of a processing in its files, at an earlier version, or in an image. Reads only.

Sends nothing to the platform, and reads the registry only for images.
"""

from msgspec import Struct

from providers.docker.labels import CONTRACT, VERSION
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.logins import push_login
from providers.errors import ProviderError
from providers.table import FACTS
from reconciler.core.contract import (
    ContractChange,
    NamedContract,
    compare_contracts,
    contract_from_text,
    contract_of,
)
from reconciler.core.diagnostics import CannotCheckError, UserError, error
from reconciler.core.values import Address, image_address
from reconciler.engine.earlier_states import EarlierState, finished_states
from reconciler.engine.problems import provider_diagnostic
from reconciler.pipeline.load import Pipeline
from state.stores.base import Store

_INPUT = "input"


class ContractReport(Struct, frozen=True):
    """The contract of a pipeline, or two of them.

    Attributes:
        before: the earlier one; None for a report of one.
        after: the later one.
    """

    pipeline: Pipeline
    before: NamedContract | None
    after: NamedContract

    @property
    def changes(self) -> tuple[ContractChange, ...]:
        """The changes from one to the other, breaking ones first."""
        if self.before is None:
            return ()
        changes = compare_contracts(self.before.contract, self.after.contract)
        return tuple(sorted(changes, key=lambda change: not change.is_breaking))


def contract_in_files(pipeline: Pipeline) -> NamedContract:
    """The contract in the files. Raises UserError if there is none."""
    loaded = pipeline.loaded
    if pipeline.contract is None:
        why = "a training has no inputs" if pipeline.is_training else "it has no inputs_class"
        line = loaded.line_of("metadata", "type") if pipeline.is_training else loaded.line_of("execution")
        detail = "Only the inputs that a class of a processing declares are a contract."
        raise UserError(error(f"{pipeline.name} has no contract: {why}", detail, file=loaded.path, line=line))
    return NamedContract(pipeline.contract, str(pipeline.config.metadata.version), "files")


def contract_at(
    pipeline: Pipeline, text: str, store: Store, stack: str | None, pool: ConnectionPool
) -> NamedContract:
    """The contract of a state version or of an image.

    Args:
        text: a version or a serial of the state; otherwise a tag or a digest of the image.
        stack: the stack whose state is read first; None if none is.

    Raises:
        UserError: there is no such version, tag or digest, or it does not have a contract.
        CannotCheckError: the registry cannot be read.
        StateError: the state cannot be read.
    """
    states = finished_states(store, stack) if stack is not None and ":" not in text else iter(())
    earlier = next((earlier for earlier in states if earlier.is_at(text)), None)
    if earlier is not None and (found := _recorded(pipeline, earlier)) is not None:
        return found
    return _published(pipeline, text, pool, in_state=earlier is not None)


def _recorded(pipeline: Pipeline, earlier: EarlierState) -> NamedContract | None:
    """The contract that a run left; None if it did not manage the inputs."""
    processing = Address.of(FACTS[_INPUT].parent or "", pipeline.name)
    recorded = {Address.parse(text): one.inputs for text, one in earlier.snapshot.resources.items()}
    inputs = {
        address.name[-1]: fields
        for address, fields in recorded.items()
        if address.kind == _INPUT and address.name[:-1] == processing.name
    }
    if not inputs:
        return None
    contract = contract_of(inputs, FACTS[_INPUT].rules)
    return NamedContract(contract, earlier.version, "state", str(earlier.snapshot.serial))


def _published(pipeline: Pipeline, text: str, pool: ConnectionPool, *, in_state: bool) -> NamedContract:
    """The contract in the label of an image."""
    repository = pipeline.config.docker.image_name
    platform = pipeline.config.reconciler.image.platform
    name = f"{repository}{'@' if ':' in text else ':'}{text}"
    try:
        with RegistryClient(repository, look_up=push_login, pool=pool) as registry:
            image = registry.image(text, platform)
    except ProviderError as problem:
        address = image_address(repository)
        raise CannotCheckError(
            provider_diagnostic(problem, f"{name} could not be read", address=address)
        ) from None
    if image is None:
        detail = "Use a version or a serial of `reconciler state history`, or a tag or a digest of the image."
        where = "neither the state nor the registry has" if not in_state else "the registry does not have"
        raise UserError(error(f"{where} {text} of {pipeline.name}", detail))
    contract = contract_from_text(image.labels.get(CONTRACT, ""), FACTS[_INPUT].rules)
    if contract is None:
        detail = (
            "Another tool or an earlier version of reconciler published it, its inputs are not managed, "
            "or they are too many for a label. Name a version that the state has."
        )
        raise UserError(error(f"the image {name} does not say its contract", detail))
    version = image.labels.get(VERSION, "")
    return NamedContract(contract, version, "image", image.digest)
