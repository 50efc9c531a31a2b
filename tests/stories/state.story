# State is shown and compared, and forgets a resource. The next apply adds the resource to the state again.
$ example dataset_cleanup

$ reconciler state list

$ reconciler state show dataset_cleanup
| error: there is no state of dataset_cleanup
|   The store is empty. If it was applied from another machine, use the state from there: `reconciler whoami --explain` shows where this state is.
[1]

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

$ reconciler state list
sandbox@sandbox/dataset_cleanup

$ reconciler state show dataset_cleanup
sandbox@sandbox/dataset_cleanup  serial 7, written …
image/registry/examples/dataset_cleanup  1.0.0@sha256:…
    channel                    latest
    platform                   linux/amd64
    source_key                 v2:…
    version                    1.0.0
    outputs.arguments          {"base image": "registry/base/python:3.11", "dockerfile name": "…
    outputs.channel_points_to  sha256:…
    outputs.digest             sha256:…
    outputs.files              {".dockerignore": "64fba78e07d193df", "Dockerfile": "a853c2cff726544f",…
    outputs.platform           linux/amd64
    outputs.source_key         v2:…
    outputs.tag                1.0.0
input/dataset_cleanup/archive  archive
    framework_constraint       null
    inference_type_constraint  null
    input_type                 DATALAKE
    required                   false
    outputs.modified_at        …
    outputs.modified_by        read-write-user
    depends on processing/dataset_cleanup
input/dataset_cleanup/dataset  dataset
    framework_constraint       null
    inference_type_constraint  OBJECT_DETECTION
    input_type                 DATASET_VERSION
    required                   true
    outputs.modified_at        …
    outputs.modified_by        read-write-user
    depends on processing/dataset_cleanup
input/dataset_cleanup/embedding_model  embedding_model
    framework_constraint       ONNX
    inference_type_constraint  null
    input_type                 MODEL_VERSION
    required                   false
    outputs.modified_at        …
    outputs.modified_by        read-write-user
    depends on processing/dataset_cleanup
input/dataset_cleanup/report_title  report_title
    framework_constraint       null
    inference_type_constraint  null
    input_type                 TEXT
    required                   false
    outputs.modified_at        …
    outputs.modified_by        read-write-user
    depends on processing/dataset_cleanup
input/dataset_cleanup/sample_size  sample_size
    framework_constraint       null
    inference_type_constraint  null
    input_type                 NUMBER
    required                   true
    outputs.modified_at        …
    outputs.modified_by        read-write-user
    depends on processing/dataset_cleanup
processing/dataset_cleanup  …
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
    outputs.modified_at                 …
    outputs.modified_by                 read-write-user
    depends on image/registry/examples/dataset_cleanup

$ edit dataset_cleanup/config.toml 'cpu = "4"' 'cpu = "6"'

$ touch dataset_cleanup/notes.txt

$ reconciler apply dataset_cleanup --yes --bump patch --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: notes.txt added
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1                              pending: the files changed
~ processing/dataset_cleanup  update  the files changed
    default_cpu  4 -> 6  pending: the files changed
Plan: 2 to update, 5 unchanged.
Done: 2 updated.
  dataset_cleanup/config.toml now has version 1.0.1 and image_tag latest  commit this file
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 1.0.1
| ~ updated image/registry/examples/dataset_cleanup
| ~ updated processing/dataset_cleanup

# The history has one block per run, with the serials of its saves. --saves shows each save.
$ reconciler state history dataset_cleanup
8-12  …  somebody  reconciler apply dataset_cleanup --yes --bump patch --parallel 1
    1.0.1  applied
    ~ image/registry/examples/dataset_cleanup  source_key, version
    ~ processing/dataset_cleanup  default_cpu
1-7   …  somebody  reconciler apply dataset_cleanup --yes --parallel 1
    1.0.0  applied
    + image/registry/examples/dataset_cleanup
    + input/dataset_cleanup/archive
    + input/dataset_cleanup/dataset
    + input/dataset_cleanup/embedding_model
    + input/dataset_cleanup/report_title
    + input/dataset_cleanup/sample_size
    + processing/dataset_cleanup

$ reconciler state history dataset_cleanup --saves --limit 4
12  …  somebody  reconciler apply dataset_cleanup --yes --bump patch --parallel 1
    no changes
11  …  somebody  reconciler apply dataset_cleanup --yes --bump patch --parallel 1
    ~ processing/dataset_cleanup  default_cpu
10  …  somebody  reconciler apply dataset_cleanup --yes --bump patch --parallel 1
    opened processing/dataset_cleanup
9   …  somebody  reconciler apply dataset_cleanup --yes --bump patch --parallel 1
    ~ image/registry/examples/dataset_cleanup  source_key, version

$ reconciler state diff dataset_cleanup 10 11
~ processing/dataset_cleanup
    default_cpu          4 -> 6
    outputs.modified_at  … -> …
settled: processing/dataset_cleanup

$ reconciler state diff dataset_cleanup 11 11
no difference

$ reconciler state diff dataset_cleanup 1 99
| error: sandbox@sandbox/dataset_cleanup has no serial 99
|   The latest is 12. See:  reconciler state history sandbox@sandbox/dataset_cleanup
[1]

# Without a terminal, forget needs --yes.
$ reconciler state forget dataset_cleanup input/dataset_cleanup/archive
| error: state forget needs your approval
|   Without a terminal, use --yes.
[1]

$ reconciler state forget dataset_cleanup input/dataset_cleanup/archive --yes
input/dataset_cleanup/archive is no longer in the state of sandbox@sandbox/dataset_cleanup (serial …); the resource itself stays

$ reconciler state forget dataset_cleanup input/dataset_cleanup/archive --yes
input/dataset_cleanup/archive is no longer in the state of sandbox@sandbox/dataset_cleanup (serial …); the resource itself stays

$ reconciler state forget dataset_cleanup input/dataset_cleanup/archives --yes
| error: input/dataset_cleanup/archives is not in the state
|   The state of sandbox@sandbox/dataset_cleanup has:
|   image/registry/examples/dataset_cleanup
|   input/dataset_cleanup/dataset
|   input/dataset_cleanup/embedding_model
|   input/dataset_cleanup/report_title
|   input/dataset_cleanup/sample_size
|   processing/dataset_cleanup
|   Did you mean 'input/dataset_cleanup/dataset'?
[1]

$ reconciler state verify dataset_cleanup
sandbox@sandbox/dataset_cleanup is intact: serial 13, 6 resources

$ reconciler apply dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
> input/dataset_cleanup/archive  adopt  exists already; added to the state
Plan: 1 to adopt, 6 unchanged.
Done: 1 adopted.
| > adopted input/dataset_cleanup/archive
