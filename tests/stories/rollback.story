# A bad deploy and its rollback: one command, no build, both tags and the platform as before.
$ example dataset_cleanup

$ reconciler apply dataset_cleanup --yes --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
+ image/registry/examples/dataset_cleanup  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ processing/dataset_cleanup  create  does not exist yet
    default_cpu                         4
    default_gpu                         0
    default_parameters.data_tag         cleaned
    default_parameters.datalake         default
    default_parameters.drop_duplicates  true
    default_parameters.least_sharpness  12.5
    default_parameters.smallest_side    64
    description                         Copies a dataset version without blurred and duplicated images.
    docker_flags                        []
    docker_image                        registry/examples/dataset_cleanup
    docker_tag                          latest
    target                              DATASET_VERSION
    type                                DATASET_VERSION_CREATION
├── + input/dataset_cleanup/archive  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATALAKE
│       required                   false
├── + input/dataset_cleanup/dataset  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 DATASET_VERSION
│       required                   true
├── + input/dataset_cleanup/embedding_model  create  does not exist yet
│       framework_constraint       ONNX
│       inference_type_constraint  null
│       input_type                 MODEL_VERSION
│       required                   false
├── + input/dataset_cleanup/report_title  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 TEXT
│       required                   false
└── + input/dataset_cleanup/sample_size  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  null
        input_type                 NUMBER
        required                   true
Plan: 7 to create.
Done: 7 created.
| creating image/registry/examples/dataset_cleanup
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/dataset_cleanup
| + created processing/dataset_cleanup
| + created input/dataset_cleanup/archive
| + created input/dataset_cleanup/dataset
| + created input/dataset_cleanup/embedding_model
| + created input/dataset_cleanup/report_title
| + created input/dataset_cleanup/sample_size

$ edit dataset_cleanup/utils/parameters.py 64 16

$ edit dataset_cleanup/config.toml 'cpu = "4"' 'cpu = "32"'

$ edit dataset_cleanup/utils/inputs.py '"archive"' '"cold_store"'

$ reconciler apply dataset_cleanup --yes --parallel 1 --bump minor
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: utils/inputs.py changed, utils/parameters.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.1.0                              pending: the files changed
~ processing/dataset_cleanup  update  the files changed
    default_cpu                       4 -> 32   pending: the files changed
    default_parameters.smallest_side  64 -> 16  pending: the files changed
├── - input/dataset_cleanup/archive  delete  no longer in the files
└── + input/dataset_cleanup/cold_store  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  null
        input_type                 DATALAKE
        required                   false
Contract: 1 breaking change of its inputs.
  breaking  archive  renamed to cold_store, so a job that gives the old name is refused  dataset_cleanup/utils/inputs.py:21
Plan: 1 to create, 2 to update, 1 to delete, 4 unchanged.
Done: 1 created, 2 updated, 1 deleted.
  dataset_cleanup/config.toml now has version 1.1.0 and image_tag latest  commit this file
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 1.1.0
| ~ updated image/registry/examples/dataset_cleanup
| ~ updated processing/dataset_cleanup
| - deleted input/dataset_cleanup/archive
| + created input/dataset_cleanup/cold_store

$ writes
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
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
DELETE /v2/examples/dataset_cleanup/blobs/uploads/… 204
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
PATCH /v2/examples/dataset_cleanup/blobs/uploads/… 202
PUT /v2/examples/dataset_cleanup/blobs/uploads/… 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
PATCH /v2/examples/dataset_cleanup/blobs/uploads/… 202
PUT /v2/examples/dataset_cleanup/blobs/uploads/… 201
PUT /v2/examples/dataset_cleanup/manifests/sha256:… 201
PUT /v2/examples/dataset_cleanup/manifests/1.1.0 201
PUT /v2/examples/dataset_cleanup/manifests/latest 201
PATCH /api/processing/… 200
DELETE /api/processing/…/inputs/archive 204
POST /api/processing/…/inputs 201

$ reconciler rollback dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  tag-moved: latest points at sha256:…; re-tagged, no build
    channel  latest          pending: the tag latest is at 1.1.0, not yet at this image
    version  1.1.0 -> 1.0.0  pending: differs from that state version
~ processing/dataset_cleanup  update  differs from that state version
    default_cpu                       32 -> 4   pending: differs from that state version
    default_parameters.smallest_side  16 -> 64  pending: differs from that state version
├── + input/dataset_cleanup/archive  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATALAKE
│       required                   false
└── - input/dataset_cleanup/cold_store  delete  not in that state version
Contract: 1 breaking change of its inputs.
  breaking  cold_store  renamed to archive, so a job that gives the old name is refused
Plan: 1 to create, 2 to update, 1 to delete, 4 unchanged.
| rolling back to version 1.0.0, applied … by somebody (serial …)
| refused: the plan deletes or replaces resources; without a terminal this needs --yes
[12]

$ reconciler rollback dataset_cleanup --parallel 1 --yes
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  tag-moved: latest points at sha256:…; re-tagged, no build
    channel  latest          pending: the tag latest is at 1.1.0, not yet at this image
    version  1.1.0 -> 1.0.0  pending: differs from that state version
~ processing/dataset_cleanup  update  differs from that state version
    default_cpu                       32 -> 4   pending: differs from that state version
    default_parameters.smallest_side  16 -> 64  pending: differs from that state version
├── + input/dataset_cleanup/archive  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATALAKE
│       required                   false
└── - input/dataset_cleanup/cold_store  delete  not in that state version
Contract: 1 breaking change of its inputs.
  breaking  cold_store  renamed to archive, so a job that gives the old name is refused
Plan: 1 to create, 2 to update, 1 to delete, 4 unchanged.
Done: 1 created, 2 updated, 1 deleted.
| rolling back to version 1.0.0, applied … by somebody (serial …)
| updating image/registry/examples/dataset_cleanup
|   tag latest -> 1.0.0
| ~ updated image/registry/examples/dataset_cleanup
| ~ updated processing/dataset_cleanup
| + created input/dataset_cleanup/archive
| - deleted input/dataset_cleanup/cold_store
|   your files are unchanged: the next apply brings their values back

$ writes
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
DELETE /v2/examples/dataset_cleanup/blobs/uploads/… 204
PUT /v2/examples/dataset_cleanup/manifests/latest 201
PATCH /api/processing/… 200
POST /api/processing/…/inputs 201
DELETE /api/processing/…/inputs/cold_store 204

$ edit dataset_cleanup/utils/parameters.py 16 64

$ edit dataset_cleanup/config.toml 'cpu = "32"' 'cpu = "4"'

$ edit dataset_cleanup/utils/inputs.py '"cold_store"' '"archive"'

$ edit dataset_cleanup/config.toml '1.1.0' '1.0'

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 7 resources unchanged.

$ reconciler rollback dataset_cleanup --to 1.1.0 --write --yes --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  tag-moved: latest points at sha256:…; re-tagged, no build
    channel  latest          pending: the tag latest is at 1.0.0, not yet at this image
    version  1.0.0 -> 1.1.0  pending: differs from that state version
~ processing/dataset_cleanup  update  differs from that state version
    default_cpu                       4 -> 32   pending: differs from that state version
    default_parameters.smallest_side  64 -> 16  pending: differs from that state version
├── - input/dataset_cleanup/archive  delete  not in that state version
└── + input/dataset_cleanup/cold_store  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  null
        input_type                 DATALAKE
        required                   false
Contract: 1 breaking change of its inputs.
  breaking  archive  renamed to cold_store, so a job that gives the old name is refused
Plan: 1 to create, 2 to update, 1 to delete, 4 unchanged.
Done: 1 created, 2 updated, 1 deleted.
  dataset_cleanup/config.toml now has version 1.1.0 and image_tag latest  commit this file
| rolling back to version 1.1.0, applied … by somebody (serial …)
| updating image/registry/examples/dataset_cleanup
|   tag latest -> 1.1.0
| ~ updated image/registry/examples/dataset_cleanup
| ~ updated processing/dataset_cleanup
| - deleted input/dataset_cleanup/archive
| + created input/dataset_cleanup/cold_store
|   only the version in config.toml was changed: the next apply brings the other values of your files back

$ reconciler rollback dataset_cleanup --to 7.0
| error: sandbox@sandbox/dataset_cleanup has no state version 7.0
|   Name one of these with --to, by its serial or its version:
|     --to 28  1.1.0, applied, …
|     --to 21  1.0.0, rolled back, …
|     --to 14  1.1.0, applied, …
|     --to 7  1.0.0, applied, …
|   See all runs: reconciler state history sandbox@sandbox/dataset_cleanup
[1]
