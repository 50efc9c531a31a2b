# Two pipelines have one image_name. It belongs to the first one that is applied.
$ example dataset_cleanup

$ copy dataset_cleanup second

$ edit second/config.toml 'name = "dataset_cleanup"' 'name = "second"'

$ edit second/pipeline.py 'import' 'import sys as _sys\nimport'

$ reconciler validate --all
ok dataset_cleanup  DATASET_VERSION_CREATION
   version     1.0.0
   image       registry/examples/dataset_cleanup
   source      v2:…  10 files, 6,… kB
   inputs      dataset (DATASET_VERSION), embedding_model (MODEL_VERSION), archive (DATALAKE), report_title (TEXT), sample_size (NUMBER)
   parameters  data_tag, datalake, drop_duplicates, least_sharpness, smallest_side
ok second  DATASET_VERSION_CREATION
   version     1.0.0
   image       registry/examples/dataset_cleanup
   source      v2:…  10 files, 7,… kB
   inputs      dataset (DATASET_VERSION), embedding_model (MODEL_VERSION), archive (DATALAKE), report_title (TEXT), sample_size (NUMBER)
   parameters  data_tag, datalake, drop_duplicates, least_sharpness, smallest_side
| error: two pipelines declare image/registry/examples/dataset_cleanup
|   at second/config.toml:14  image/registry/examples/dataset_cleanup
|   dataset_cleanup/config.toml:14 has it, too. It can belong to one pipeline only: change one of the two.
[1]

$ reconciler apply dataset_cleanup --parallel 1 --target processing/dataset_cleanup
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
Plan: 2 to create.
Done: 2 created.
| creating image/registry/examples/dataset_cleanup
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/dataset_cleanup
| + created processing/dataset_cleanup

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

$ reconciler apply second --yes --bump patch
sandbox@sandbox/second  http://sandbox
> image/registry/examples/dataset_cleanup  adopt  source-changed: the state does not say which of its 10 files differ  refused
    source_key  v2:… -> v2:…  unrecorded: not in the state yet
    version     1.0.0 -> 1.0.1                              unrecorded: not in the state yet
+ processing/second  create  does not exist yet
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
├── + input/second/archive  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATALAKE
│       required                   false
├── + input/second/dataset  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 DATASET_VERSION
│       required                   true
├── + input/second/embedding_model  create  does not exist yet
│       framework_constraint       ONNX
│       inference_type_constraint  null
│       input_type                 MODEL_VERSION
│       required                   false
├── + input/second/report_title  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 TEXT
│       required                   false
└── + input/second/sample_size  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  null
        input_type                 NUMBER
        required                   true
Plan: 6 to create, 1 to adopt, 1 of them with changes.
| refused: image/registry/examples/dataset_cleanup
|   sandbox@sandbox/dataset_cleanup has claimed it since …, declared at dataset_cleanup/config.toml:14; second/config.toml:14 declares it, too
|     take it over:  reconciler apply second --organization sandbox --env CUSTOM --bump patch --take image/registry/examples/dataset_cleanup
|     or declare another one at second/config.toml:14
[12]

$ writes
none

# An edit of the files is the other way out.
$ edit second/config.toml 'examples/dataset_cleanup' 'examples/second'

$ reconciler apply second --parallel 1 --target processing/second
sandbox@sandbox/second  http://sandbox
+ image/registry/examples/second  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ processing/second  create  does not exist yet
    default_cpu                         4
    default_gpu                         0
    default_parameters.data_tag         cleaned
    default_parameters.datalake         default
    default_parameters.drop_duplicates  true
    default_parameters.least_sharpness  12.5
    default_parameters.smallest_side    64
    description                         Copies a dataset version without blurred and duplicated images.
    docker_flags                        []
    docker_image                        registry/examples/second
    docker_tag                          latest
    target                              DATASET_VERSION
    type                                DATASET_VERSION_CREATION
Plan: 2 to create.
Done: 2 created.
| creating image/registry/examples/second
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/second
| + created processing/second

$ reconciler apply dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
+ input/dataset_cleanup/archive  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  null
    input_type                 DATALAKE
    required                   false
+ input/dataset_cleanup/dataset  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  OBJECT_DETECTION
    input_type                 DATASET_VERSION
    required                   true
+ input/dataset_cleanup/embedding_model  create  does not exist yet
    framework_constraint       ONNX
    inference_type_constraint  null
    input_type                 MODEL_VERSION
    required                   false
+ input/dataset_cleanup/report_title  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  null
    input_type                 TEXT
    required                   false
+ input/dataset_cleanup/sample_size  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  null
    input_type                 NUMBER
    required                   true
Contract: 2 breaking and 3 compatible changes of its inputs.
  breaking    dataset          new required input, so a job without it is refused  dataset_cleanup/utils/inputs.py:10
  breaking    sample_size      new required input, so a job without it is refused  dataset_cleanup/utils/inputs.py:23
  compatible  archive          new optional input  dataset_cleanup/utils/inputs.py:21
  compatible  embedding_model  new optional input  dataset_cleanup/utils/inputs.py:15
  compatible  report_title     new optional input  dataset_cleanup/utils/inputs.py:22
Plan: 5 to create, 2 unchanged.
Done: 5 created.
| + created input/dataset_cleanup/archive
| + created input/dataset_cleanup/dataset
| + created input/dataset_cleanup/embedding_model
| + created input/dataset_cleanup/report_title
| + created input/dataset_cleanup/sample_size

$ reconciler apply second --parallel 1
sandbox@sandbox/second  http://sandbox
+ input/second/archive  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  null
    input_type                 DATALAKE
    required                   false
+ input/second/dataset  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  OBJECT_DETECTION
    input_type                 DATASET_VERSION
    required                   true
+ input/second/embedding_model  create  does not exist yet
    framework_constraint       ONNX
    inference_type_constraint  null
    input_type                 MODEL_VERSION
    required                   false
+ input/second/report_title  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  null
    input_type                 TEXT
    required                   false
+ input/second/sample_size  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  null
    input_type                 NUMBER
    required                   true
Contract: 2 breaking and 3 compatible changes of its inputs.
  breaking    dataset          new required input, so a job without it is refused  second/utils/inputs.py:10
  breaking    sample_size      new required input, so a job without it is refused  second/utils/inputs.py:23
  compatible  archive          new optional input  second/utils/inputs.py:21
  compatible  embedding_model  new optional input  second/utils/inputs.py:15
  compatible  report_title     new optional input  second/utils/inputs.py:22
Plan: 5 to create, 2 unchanged.
Done: 5 created.
| + created input/second/archive
| + created input/second/dataset
| + created input/second/embedding_model
| + created input/second/report_title
| + created input/second/sample_size

$ reconciler state claims
image/registry/examples/dataset_cleanup  sandbox@sandbox/dataset_cleanup  since …  dataset_cleanup/config.toml:14
image/registry/examples/second  sandbox@sandbox/second           since …  second/config.toml:14
processing/dataset_cleanup             sandbox@sandbox/dataset_cleanup  since …  dataset_cleanup/config.toml:2
processing/second                      sandbox@sandbox/second           since …  second/config.toml:2
