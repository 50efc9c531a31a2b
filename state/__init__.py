"""The state: the recorded result of earlier applies. It is a cache; the platform is the source of truth.

snapshot      the state as pure values
invariants    the numbered rules that every state obeys
document      state to JSON and back; `migrations` upgrades older documents
changes       field-by-field changes between two serials
stores        `base` is the protocol, `sqlite` the local store, `bucket` the store for teams
              (`bucket_layout` its paths and formats, `objects` its requests); `opening` maps a URL to a store
register      the sources of stacks and their claims, as a pure value
claims        reads and changes the registers of a store
renaming      a store that finds state under older names and moves it
copying       copies state and history from one store to another
lock          the lock of a stack and its heartbeat
state_writer  saves the changes of a running apply, shared by its threads
errors        the errors of all of these
"""
