# A scheduled check: it only reads, and reports each change with the commands to resolve it.
$ example dataset_cleanup

$ reconciler drift dataset_cleanup
sandbox@sandbox/dataset_cleanup
  pending never applied: 1 image, 5 inputs and 1 processing to create
    apply the files  reconciler apply dataset_cleanup --organization sandbox --env CUSTOM
Found: 7 pending. 0 pipelines in sync.
[10]

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

$ reconciler drift dataset_cleanup
No drift. 1 pipeline in sync.

$ platform edit-processing dataset_cleanup description="edited in a hurry" default_cpu=64

$ platform delete-input dataset_cleanup archive

$ platform add-input dataset_cleanup stray input_type=TEXT

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

$ reconciler drift dataset_cleanup
sandbox@sandbox/dataset_cleanup  last applied … by somebody
  drift input/dataset_cleanup/archive  deleted outside
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target input/dataset_cleanup/archive
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM input/dataset_cleanup/archive
  drift input/dataset_cleanup/stray  added outside
    changed           … by another-user
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --yes --target input/dataset_cleanup/stray
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM input/dataset_cleanup/stray
  drift processing/dataset_cleanup#default_cpu  changed outside
    in the files      4
    last applied      4
    live              64
    set at            dataset_cleanup/config.toml:16
    changed           … by another-user
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target processing/dataset_cleanup
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM 'processing/dataset_cleanup#default_cpu'
  drift processing/dataset_cleanup#description  changed outside
    in the files      Copies a dataset version without blurred and duplicated images.
    last applied      Copies a dataset version without blurred and duplicated images.
    live              edited in a hurry
    set at            dataset_cleanup/config.toml:4
    changed           … by another-user
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target processing/dataset_cleanup
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM 'processing/dataset_cleanup#description'
Found: 4 drift. 0 pipelines in sync.
[11]

$ edit dataset_cleanup/config.toml 'gpu = "0"' 'gpu = 1'

$ reconciler drift dataset_cleanup
sandbox@sandbox/dataset_cleanup  last applied … by somebody
  drift input/dataset_cleanup/archive  deleted outside
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target input/dataset_cleanup/archive
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM input/dataset_cleanup/archive
  drift input/dataset_cleanup/stray  added outside
    changed           … by another-user
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --yes --target input/dataset_cleanup/stray
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM input/dataset_cleanup/stray
  drift processing/dataset_cleanup#default_cpu  changed outside
    in the files      4
    last applied      4
    live              64
    set at            dataset_cleanup/config.toml:16
    changed           … by another-user
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target processing/dataset_cleanup
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM 'processing/dataset_cleanup#default_cpu'
  drift processing/dataset_cleanup#description  changed outside
    in the files      Copies a dataset version without blurred and duplicated images.
    last applied      Copies a dataset version without blurred and duplicated images.
    live              edited in a hurry
    set at            dataset_cleanup/config.toml:4
    changed           … by another-user
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target processing/dataset_cleanup
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM 'processing/dataset_cleanup#description'
  pending processing/dataset_cleanup#docker_flags  changed in the files, not applied yet
    in the files     ["--gpus=all", "--ipc=host"]
    last applied     []
    live             []
    set at           dataset_cleanup/config.toml:17
    last written     … by another-user
    apply the files  reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target processing/dataset_cleanup
  pending processing/dataset_cleanup#default_gpu  changed in the files, not applied yet
    in the files     1
    last applied     0
    live             0
    set at           dataset_cleanup/config.toml:17
    last written     … by another-user
    apply the files  reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target processing/dataset_cleanup
Found: 4 drift, 2 pending. 0 pipelines in sync.
[11]

$ writes
none
