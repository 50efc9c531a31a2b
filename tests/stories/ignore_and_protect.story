# A field that the team edits on the platform, and a protected processing.
$ example dataset_cleanup

$ edit dataset_cleanup/config.toml "[reconciler.image]" "[reconciler]\nprotect = [\"processing/dataset_cleanup\"]\nignore_changes = { \"processing/dataset_cleanup\" = [\"description\", \"default_cpu\"] }\n\n[reconciler.image]"

$ reconciler apply dataset_cleanup --parallel 1
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

$ platform edit-processing dataset_cleanup description="ours by hand" default_cpu=16

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
  processing/dataset_cleanup  unchanged  differs only in ignored fields: default_cpu, description
    default_cpu  16 -> 4  drift: ignored (ignore_changes)
    description  ours by hand -> Copies a dataset version without blurred and duplicated images.  drift: ignored (ignore_changes)
Nothing to do: 7 resources unchanged. 2 fields ignored (ignore_changes).

$ reconciler apply dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
  processing/dataset_cleanup  unchanged  differs only in ignored fields: default_cpu, description
    default_cpu  16 -> 4  drift: ignored (ignore_changes)
    description  ours by hand -> Copies a dataset version without blurred and duplicated images.  drift: ignored (ignore_changes)
Nothing to do: 7 resources unchanged. 2 fields ignored (ignore_changes).

$ writes
none

$ reconciler destroy dataset_cleanup --yes
sandbox@sandbox/dataset_cleanup  http://sandbox
- processing/dataset_cleanup  delete  destroyed, as requested  refused
├── - input/dataset_cleanup/archive  delete  destroyed, as requested
├── - input/dataset_cleanup/dataset  delete  destroyed, as requested
├── - input/dataset_cleanup/embedding_model  delete  destroyed, as requested
├── - input/dataset_cleanup/report_title  delete  destroyed, as requested
└── - input/dataset_cleanup/sample_size  delete  destroyed, as requested
. image/registry/examples/dataset_cleanup  forget  not deleted by destroy; it stays in the registry
Plan: 6 to delete, 1 to forget.
| refused: processing/dataset_cleanup
|   apply would delete it, but it is protected
|     remove "processing/dataset_cleanup" from protect in config.toml, or in [defaults] of reconciler.toml
[12]
