"""The record of what earlier applies left: a memory, not the truth.

snapshot    the record as pure values
invariants  what every record promises, numbered
document    the record as JSON, and back; `migrations` raises older documents
store       what a place that keeps records must offer: `sqlite` is the one on this machine, `bucket` the one
            for teams: `layout` says what lies in it, `objects` are the few verbs that it takes
renaming    a store that finds a record under its older names, and moves it
lock        who may write now, and the heartbeat that keeps it so
recorder    the record of a running apply, shared by its threads
errors      everything that can go wrong with a record
"""
