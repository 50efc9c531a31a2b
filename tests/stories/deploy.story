# deploy with the arguments, files and result of the official command. Without a terminal, options set missing values.
$ example dataset_cleanup

$ edit dataset_cleanup/config.toml 'cpu = "4"' ''

$ edit dataset_cleanup/config.toml 'gpu = "0"' ''

$ reconciler deploy dataset_cleanup
dataset_cleanup  DATASET_VERSION_CREATION  1.0.0
  Copies a dataset version without blurred and duplicated images.
| error: docker.cpu is missing
|   at dataset_cleanup/config.toml:13
|   Use --cpu NUMBER, or set it in config.toml.
| error: docker.gpu is missing
|   at dataset_cleanup/config.toml:13
|   Use --gpu NUMBER, or set it in config.toml.
[1]

$ reconciler deploy dataset_cleanup --parallel 1 --cpu 4 --gpu 1
dataset_cleanup  DATASET_VERSION_CREATION  1.0.0
  Copies a dataset version without blurred and duplicated images.
sandbox@sandbox/dataset_cleanup  http://sandbox
+ image/registry/examples/dataset_cleanup  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ processing/dataset_cleanup  create  does not exist yet
    default_cpu                         4
    default_gpu                         1
    default_parameters.data_tag         cleaned
    default_parameters.datalake         default
    default_parameters.drop_duplicates  true
    default_parameters.least_sharpness  12.5
    default_parameters.smallest_side    64
    description                         Copies a dataset version without blurred and duplicated images.
    docker_flags                        ["--gpus=all", "--ipc=host"]
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
  dataset_cleanup/config.toml now has cpu 4, gpu 1 and image_tag latest  commit this file
Deployed to sandbox@sandbox/dataset_cleanup  http://sandbox
  image       dataset_cleanup    registry/examples/dataset_cleanup:1.0.0, latest
  processing  dataset_cleanup    4 CPU, 1 GPU, latest
  input         dataset          DATASET_VERSION, required
  input         embedding_model  MODEL_VERSION, optional
  input         archive          DATALAKE, optional
  input         report_title     TEXT, optional
  input         sample_size      NUMBER, required
| no new version: 1.0.0 is new, so it needs no bump
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

$ reconciler deploy dataset_cleanup
dataset_cleanup  DATASET_VERSION_CREATION  1.0.0
  Copies a dataset version without blurred and duplicated images.
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 7 resources unchanged.
Deployed to sandbox@sandbox/dataset_cleanup  http://sandbox
  image       dataset_cleanup    registry/examples/dataset_cleanup:1.0.0, latest
  processing  dataset_cleanup    4 CPU, 1 GPU, latest
  input         dataset          DATASET_VERSION, required
  input         embedding_model  MODEL_VERSION, optional
  input         archive          DATALAKE, optional
  input         report_title     TEXT, optional
  input         sample_size      NUMBER, required
| no new version: 1.0.0 is published from this source

$ edit dataset_cleanup/pipeline.py "import argparse" "import argparse  # better"

$ reconciler deploy dataset_cleanup
dataset_cleanup  DATASET_VERSION_CREATION  1.0.0
  Copies a dataset version without blurred and duplicated images.
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: pipeline.py changed  refused
    source_key  v2:… -> v2:…  pending: the files changed
Plan: 1 to update, 6 unchanged.
| refused: image/registry/examples/dataset_cleanup
|   1.0.0 is published from another source, and is never overwritten (pipeline.py changed)
|     publish it as a new version:  reconciler deploy dataset_cleanup --organization sandbox --env CUSTOM --bump patch
[12]

$ reconciler deploy dataset_cleanup --bump minor
dataset_cleanup  DATASET_VERSION_CREATION  1.0.0
  Copies a dataset version without blurred and duplicated images.
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: pipeline.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.1.0                              pending: the files changed
Plan: 1 to update, 6 unchanged.
Done: 1 updated.
  dataset_cleanup/config.toml now has version 1.1.0 and image_tag latest  commit this file
Deployed to sandbox@sandbox/dataset_cleanup  http://sandbox
  image       dataset_cleanup    registry/examples/dataset_cleanup:1.1.0, latest
  processing  dataset_cleanup    4 CPU, 1 GPU, latest
  input         dataset          DATASET_VERSION, required
  input         embedding_model  MODEL_VERSION, optional
  input         archive          DATALAKE, optional
  input         report_title     TEXT, optional
  input         sample_size      NUMBER, required
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 1.1.0
| ~ updated image/registry/examples/dataset_cleanup

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 7 resources unchanged.
