# A folder is deleted, and its processing stays on the platform. status, drift and plan report it.
$ write reconciler.toml '[workspace]\nname = "shop"'

$ example dataset_cleanup

$ example computed_inputs

$ reconciler apply --all --yes --parallel 1 --builds 1
sandbox@sandbox  http://sandbox
Plan for 2 pipelines: 2 to change.
Resources: 13 to create.
+ image       create  never-published     2 pipelines: computed_inputs, dataset_cleanup
+ processing  create  does not exist yet  2 pipelines: computed_inputs, dataset_cleanup
+ input       create  does not exist yet  9 resources in 2 pipelines: computed_inputs, dataset_cleanup
Done: 2 applied.
Published 1.0.0 for 2 pipelines: computed_inputs, dataset_cleanup
| info: python lacks picsellia_cv_engine and picsellia_pipelines_cli, so the classes were read with built-in replacements
|   in computed_inputs
|   These behave like the official base classes. To use the official ones, run `uv sync` in the pipeline's folder, or choose another interpreter with --python.
| [1/2] applied  computed_inputs  1.0.0
| [2/2] applied  dataset_cleanup  1.0.0

$ remove computed_inputs

$ writes
POST /v2/examples/computed_inputs/blobs/uploads/ 202
DELETE /v2/examples/computed_inputs/blobs/uploads/… 204
POST /v2/examples/computed_inputs/blobs/uploads/ 201
POST /v2/examples/computed_inputs/blobs/uploads/ 201
POST /v2/examples/computed_inputs/blobs/uploads/ 201
POST /v2/examples/computed_inputs/blobs/uploads/ 202
PATCH /v2/examples/computed_inputs/blobs/uploads/… 202
PUT /v2/examples/computed_inputs/blobs/uploads/… 201
POST /v2/examples/computed_inputs/blobs/uploads/ 202
PATCH /v2/examples/computed_inputs/blobs/uploads/… 202
PUT /v2/examples/computed_inputs/blobs/uploads/… 201
PUT /v2/examples/computed_inputs/manifests/sha256:… 201
PUT /v2/examples/computed_inputs/manifests/1.0.0 201
PUT /v2/examples/computed_inputs/manifests/latest 201
POST /api/organization/…/processings 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
DELETE /v2/examples/dataset_cleanup/blobs/uploads/… 204
POST /v2/examples/dataset_cleanup/blobs/uploads/ 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
PATCH /v2/examples/dataset_cleanup/blobs/uploads/… 202
PUT /v2/examples/dataset_cleanup/blobs/uploads/… 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
PATCH /v2/examples/dataset_cleanup/blobs/uploads/… 202
PUT /v2/examples/dataset_cleanup/blobs/uploads/… 201
PUT /v2/examples/dataset_cleanup/manifests/sha256:… 201
PUT /v2/examples/dataset_cleanup/manifests/1.0.0 201
PUT /v2/examples/dataset_cleanup/manifests/latest 201
POST /api/organization/…/processings 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201

$ reconciler drift --all
sandbox@sandbox/computed_inputs  last applied … by somebody
  orphaned processing/computed_inputs  its folder computed_inputs is gone; 6 resources left
    delete its resources  reconciler destroy --stack computed_inputs --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/computed_inputs
Found: 1 orphaned. 1 pipeline in sync.
[11]

$ reconciler status --all
pipeline         environment              runs   applied  files  image                drift                         last apply
computed_inputs  sandbox@sandbox  -      1.0.0    -      sha256:…  orphaned: its folder is gone  just now by somebody
dataset_cleanup  sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  in sync                       just now by somebody
| info: 1 stack of this workspace is no longer declared in its files: sandbox@sandbox/computed_inputs
|   Show what is left, and how to remove it: reconciler drift --all --organization sandbox --env CUSTOM

$ reconciler plan --all
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 7 resources unchanged.
| info: 1 stack of this workspace is no longer declared in its files: sandbox@sandbox/computed_inputs
|   Show what is left, and how to remove it: reconciler drift --all --organization sandbox --env CUSTOM

# Selections smaller than --all report none, and neither does --all below the top.
$ reconciler drift dataset_cleanup
No drift. 1 pipeline in sync.

$ cd dataset_cleanup

$ reconciler drift --all
No drift. 1 pipeline in sync.

$ cd .

# A folder that moved is no orphan: its stack is found elsewhere.
$ copy dataset_cleanup moved

$ remove dataset_cleanup

$ reconciler drift --all
sandbox@sandbox/computed_inputs  last applied … by somebody
  orphaned processing/computed_inputs  its folder computed_inputs is gone; 6 resources left
    delete its resources  reconciler destroy --stack computed_inputs --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/computed_inputs
Found: 1 orphaned. 1 pipeline in sync.
[11]

# It is acknowledged like any finding.
$ reconciler drift --all --write-baseline --owner ada --reason 'until the move' --expires 2100-01-01
sandbox@sandbox/computed_inputs  last applied … by somebody
  orphaned processing/computed_inputs  its folder computed_inputs is gone; 6 resources left
    acknowledged  by ada until 2100-01-01: until the move
Found: 1 acknowledged. 1 pipeline in sync.
| drift-baseline.toml: 1 finding acknowledged

$ reconciler drift --all
sandbox@sandbox/computed_inputs  last applied … by somebody
  orphaned processing/computed_inputs  its folder computed_inputs is gone; 6 resources left
    acknowledged  by ada until 2100-01-01: until the move
Found: 1 acknowledged. 1 pipeline in sync.
| using the acknowledgements in drift-baseline.toml

# destroy --stack needs no folder. Nothing else did anything by itself.
$ reconciler destroy --stack computed_input --yes
| error: no stack in sandbox@sandbox is called computed_input
|   There is state of computed_inputs, dataset_cleanup. Did you mean 'computed_inputs'? If it was applied from another machine, use the state from there: `reconciler whoami --explain` shows where this state is.
[1]

$ reconciler destroy --stack dataset_cleanup --yes
| error: sandbox@sandbox/dataset_cleanup has a folder: moved
|   Destroy it with its files:  reconciler destroy moved --organization sandbox --env CUSTOM
[1]

$ reconciler destroy --stack computed_inputs --yes --parallel 1
sandbox@sandbox/computed_inputs  http://sandbox
- processing/computed_inputs  delete  destroyed, as requested
├── - input/computed_inputs/dataset  delete  destroyed, as requested
├── - input/computed_inputs/model_1  delete  destroyed, as requested
├── - input/computed_inputs/model_2  delete  destroyed, as requested
└── - input/computed_inputs/model_3  delete  destroyed, as requested
. image/registry/examples/computed_inputs  forget  not deleted by destroy; it stays in the registry
Plan: 5 to delete, 1 to forget.
Done: 5 deleted, 1 forgotten.
| - deleted input/computed_inputs/dataset
| - deleted input/computed_inputs/model_1
| - deleted input/computed_inputs/model_2
| - deleted input/computed_inputs/model_3
| - deleted processing/computed_inputs
| . forgotten image/registry/examples/computed_inputs

$ writes
DELETE /api/processing/…/inputs/dataset 204
DELETE /api/processing/…/inputs/model_1 204
DELETE /api/processing/…/inputs/model_2 204
DELETE /api/processing/…/inputs/model_3 204
DELETE /api/processing/… 204

$ reconciler state claims
image/registry/examples/dataset_cleanup  sandbox@sandbox/dataset_cleanup  since …  dataset_cleanup/config.toml:14
processing/dataset_cleanup  sandbox@sandbox/dataset_cleanup  since …  dataset_cleanup/config.toml:2

$ reconciler status --all
pipeline                 environment              runs   applied  files  image                drift    last apply
dataset_cleanup (moved)  sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  in sync  just now by somebody

# state forget --stack leaves everything on the platform.
$ remove moved

# Without any folder, they are still reported.
$ reconciler drift --all
sandbox@sandbox/dataset_cleanup  last applied … by somebody
  orphaned processing/dataset_cleanup  its folder dataset_cleanup is gone; 7 resources left
    delete its resources  reconciler destroy --stack dataset_cleanup --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/dataset_cleanup
Found: 1 orphaned. 0 pipelines in sync.
| using the acknowledgements in drift-baseline.toml
[11]

$ reconciler plan --all
| info: 1 stack of this workspace is no longer declared in its files: sandbox@sandbox/dataset_cleanup
|   Show what is left, and how to remove it: reconciler drift --all --organization sandbox --env CUSTOM

$ reconciler state forget --stack dataset_cleanup --yes
the state of sandbox@sandbox/dataset_cleanup is empty (serial …), and its claims are released
these resources stay, and are no longer managed:
  image/registry/examples/dataset_cleanup
  input/dataset_cleanup/archive
  input/dataset_cleanup/dataset
  input/dataset_cleanup/embedding_model
  input/dataset_cleanup/report_title
  input/dataset_cleanup/sample_size
  processing/dataset_cleanup

$ reconciler state history dataset_cleanup
8    …  somebody  reconciler state forget --stack dataset_cleanup --yes
    partial
    - image/registry/examples/dataset_cleanup
    - input/dataset_cleanup/archive
    - input/dataset_cleanup/dataset
    - input/dataset_cleanup/embedding_model
    - input/dataset_cleanup/report_title
    - input/dataset_cleanup/sample_size
    - processing/dataset_cleanup
1-7  …  somebody  reconciler apply --all --yes --parallel 1 --builds 1
    1.0.0  applied
    + image/registry/examples/dataset_cleanup
    + input/dataset_cleanup/archive
    + input/dataset_cleanup/dataset
    + input/dataset_cleanup/embedding_model
    + input/dataset_cleanup/report_title
    + input/dataset_cleanup/sample_size
    + processing/dataset_cleanup

$ reconciler state claims
there are no claims
