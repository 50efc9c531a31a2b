# Pipelines and environments side by side: what runs where, and what each environment lacks.
$ example dataset_cleanup

$ edit reconciler.toml '[environments.LIVE]' '[environments.LIVE]\npromote_from = "TEST"'

$ edit dataset_cleanup/config.toml 'version = "1.0"' 'version = "1.0.0"'

$ reconciler apply dataset_cleanup --env TEST --yes --json run.json
my-test-org@TEST/dataset_cleanup  http://test
+ image/registry/examples/dataset_cleanup  create  never-published
    channel     test
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
    docker_tag                          test
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
|   tag test -> 1.0.0
| + created image/registry/examples/dataset_cleanup
| + created processing/dataset_cleanup
| + created input/dataset_cleanup/archive
| + created input/dataset_cleanup/dataset
| + created input/dataset_cleanup/embedding_model
| + created input/dataset_cleanup/report_title
| + created input/dataset_cleanup/sample_size

$ reconciler status --all --matrix
pipeline         TEST              LIVE
dataset_cleanup  1.0.0             -
                 in sync
                 just now by somebody

$ reconciler apply dataset_cleanup --env LIVE --yes --json run.json
my-org@LIVE/dataset_cleanup  http://live
> image/registry/examples/dataset_cleanup  adopt  new-tag: live does not exist yet; tagged, no build
    channel  live  unrecorded: not in the state yet
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
    docker_tag                          live
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
Plan: 6 to create, 1 to adopt, 1 of them with changes.
Done: 6 created, 1 adopted.
| adopting image/registry/examples/dataset_cleanup
|   tag live -> 1.0.0
| > adopted image/registry/examples/dataset_cleanup
| + created processing/dataset_cleanup
| + created input/dataset_cleanup/archive
| + created input/dataset_cleanup/dataset
| + created input/dataset_cleanup/embedding_model
| + created input/dataset_cleanup/report_title
| + created input/dataset_cleanup/sample_size

$ edit dataset_cleanup/pipeline.py "import argparse" "import argparse  # better"

$ reconciler apply dataset_cleanup --env TEST --bump patch --yes --json run.json
my-test-org@TEST/dataset_cleanup  http://test
~ image/registry/examples/dataset_cleanup  update  source-changed: pipeline.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1                              pending: the files changed
Plan: 1 to update, 6 unchanged.
Done: 1 updated.
  dataset_cleanup/config.toml now has version 1.0.1  commit this file
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag test -> 1.0.1
| ~ updated image/registry/examples/dataset_cleanup

$ edit dataset_cleanup/pipeline.py "# better" "# best"

$ reconciler apply dataset_cleanup --env TEST --bump minor --yes --json run.json
my-test-org@TEST/dataset_cleanup  http://test
~ image/registry/examples/dataset_cleanup  update  source-changed: pipeline.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.1 -> 1.1.0                              pending: the files changed
Plan: 1 to update, 6 unchanged.
Done: 1 updated.
  dataset_cleanup/config.toml now has version 1.1.0  commit this file
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag test -> 1.1.0
| ~ updated image/registry/examples/dataset_cleanup

$ reconciler status --all --matrix --html matrix.html
pipeline         TEST              LIVE
dataset_cleanup  1.1.0             1.0.0  2 behind
                 in sync           1 pending
                 just now by somebody  just now by somebody

$ show matrix.html 2.behind
<td><b>1.0.0</b> <span class="badge warn">2 behind</span><br>
