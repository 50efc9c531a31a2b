# A plan is saved and approved. Before apply, a user edits the platform.
$ example dataset_cleanup

$ reconciler plan dataset_cleanup --out first.json
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
| saved to first.json; apply it with:  reconciler apply --plan first.json

$ reconciler apply --plan first.json --parallel 1
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

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 7 resources unchanged.

$ edit dataset_cleanup/utils/parameters.py 64 128

$ reconciler plan dataset_cleanup --bump patch --out second.json
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: utils/parameters.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1                              pending: the files changed
~ processing/dataset_cleanup  update  the files changed
    default_parameters.smallest_side  64 -> 128  pending: the files changed
Plan: 2 to update, 5 unchanged.
| saved to second.json; apply it with:  reconciler apply --plan second.json

$ platform edit-processing dataset_cleanup description="edited meanwhile"

# Nothing is applied: the approved plan is stale.
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

$ reconciler apply --plan second.json
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: utils/parameters.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1                              pending: the files changed
~ processing/dataset_cleanup  update  changed outside, the files changed
    default_parameters.smallest_side  64 -> 128  pending: the files changed
    description                       edited meanwhile -> Copies a dataset version without blurred and duplicated images.  drift: changed outside
Plan: 2 to update, 5 unchanged. 1 field changed outside.
| changed: processing/dataset_cleanup  after the plan was made
|   description
|     in the plan  Copies a dataset version without blurred and duplicated images.
|     now          edited meanwhile
|   Make a new plan, or apply the rest of this one with --skip-moved.
[12]

$ writes
none

# --skip-moved applies the other steps. The exit code still reports the stale one.
$ reconciler apply --plan second.json --skip-moved --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: utils/parameters.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1                              pending: the files changed
Plan: 1 to update.
Done: 1 updated.
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 1.0.1
| ~ updated image/registry/examples/dataset_cleanup
| changed: processing/dataset_cleanup  after the plan was made
|   description
|     in the plan  Copies a dataset version without blurred and duplicated images.
|     now          edited meanwhile
|   Make a new plan, or apply the rest of this one with --skip-moved.
[12]

# A plan of files that changed since is refused completely.
$ edit dataset_cleanup/pipeline.py argparse argparse2

$ reconciler apply --plan second.json
| error: the saved plan cannot be applied
|   it publishes 1.0.1, and the next version is 1.0.2 now: another run published in the meantime, or config.toml has another version. Make a new plan.
[12]

# show works with a stale plan.
$ reconciler show second.json
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: utils/parameters.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1                              pending: the files changed
~ processing/dataset_cleanup  update  the files changed
    default_parameters.smallest_side  64 -> 128  pending: the files changed
Plan: 2 to update, 5 unchanged.
