# A release, a release candidate and its release: the builds and the tags.
$ example dataset_cleanup

$ reconciler apply dataset_cleanup --parallel 1 --bump final
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
  dataset_cleanup/config.toml now has version 1.0.0 and image_tag latest  commit this file
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

$ edit dataset_cleanup/pipeline.py "import argparse" "import argparse  # better"

$ reconciler plan dataset_cleanup --bump rc --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: pipeline.py changed
    channel     latest -> test                              pending: the files changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1-rc                           pending: the files changed
~ processing/dataset_cleanup  update  the files changed
    docker_tag  latest -> test  pending: the files changed
Plan: 2 to update, 5 unchanged.
| approve exactly this with --approve …
[10]

$ reconciler apply dataset_cleanup --bump rc --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: pipeline.py changed
    channel     latest -> test                              pending: the files changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1-rc                           pending: the files changed
~ processing/dataset_cleanup  update  the files changed
    docker_tag  latest -> test  pending: the files changed
Plan: 2 to update, 5 unchanged.
Done: 2 updated.
  dataset_cleanup/config.toml now has version 1.0.1-rc and image_tag test  commit this file
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag test -> 1.0.1-rc
| ~ updated image/registry/examples/dataset_cleanup
| ~ updated processing/dataset_cleanup

$ show dataset_cleanup/config.toml ^version|^image_tag
version = "1.0.1-rc"
image_tag = "test"

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 7 resources unchanged.

# The release has the source of the candidate: the image gets new tags, and is not built again.
$ reconciler apply dataset_cleanup --bump final --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  same-source: re-tagged, no build
    channel  test -> latest     pending: the files changed
    version  1.0.1-rc -> 1.0.1  pending: the files changed
~ processing/dataset_cleanup  update  the files changed
    docker_tag  test -> latest  pending: the files changed
Plan: 2 to update, 5 unchanged.
Done: 2 updated.
  dataset_cleanup/config.toml now has version 1.0.1 and image_tag latest  commit this file
| updating image/registry/examples/dataset_cleanup
|   tag 1.0.1 -> sha256:…
|   tag latest -> 1.0.1
| ~ updated image/registry/examples/dataset_cleanup
| ~ updated processing/dataset_cleanup

$ show dataset_cleanup/config.toml ^version|^image_tag
version = "1.0.1"
image_tag = "latest"

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 7 resources unchanged.
