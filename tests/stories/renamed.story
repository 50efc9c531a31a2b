# A pipeline is renamed: its state follows the folder. The old processing is left behind, and the plan says so.
$ write reconciler.toml '[workspace]\nname = "shop"'

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

$ edit dataset_cleanup/config.toml 'name = "dataset_cleanup"' 'name = "cleanup"'

$ reconciler plan dataset_cleanup
sandbox@sandbox/cleanup (dataset_cleanup)  http://sandbox
. input/dataset_cleanup/archive  forget  no longer in the files; it stays on the platform
. input/dataset_cleanup/dataset  forget  no longer in the files; it stays on the platform
. input/dataset_cleanup/embedding_model  forget  no longer in the files; it stays on the platform
. input/dataset_cleanup/report_title  forget  no longer in the files; it stays on the platform
. input/dataset_cleanup/sample_size  forget  no longer in the files; it stays on the platform
. processing/dataset_cleanup  forget  no longer in the files; it stays on the platform
+ processing/cleanup  create  does not exist yet
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
├── + input/cleanup/archive  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATALAKE
│       required                   false
├── + input/cleanup/dataset  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 DATASET_VERSION
│       required                   true
├── + input/cleanup/embedding_model  create  does not exist yet
│       framework_constraint       ONNX
│       inference_type_constraint  null
│       input_type                 MODEL_VERSION
│       required                   false
├── + input/cleanup/report_title  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 TEXT
│       required                   false
└── + input/cleanup/sample_size  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  null
        input_type                 NUMBER
        required                   true
Plan: 6 to create, 6 to forget, 1 unchanged.
| sandbox@sandbox/cleanup has no state, so the state of sandbox@sandbox/dataset_cleanup is used, the earlier stack of its folder; the next apply moves it to sandbox@sandbox/cleanup
| approve exactly this with --approve …

# status finds the state, too. Reading moves nothing.
$ reconciler status --all
pipeline                   environment              runs   applied  files  image                drift       last apply
cleanup (dataset_cleanup)  sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  12 pending  just now by somebody
| sandbox@sandbox/cleanup has no state, so the state of sandbox@sandbox/dataset_cleanup is used, the earlier stack of its folder; the next apply moves it to sandbox@sandbox/cleanup

$ reconciler state list
sandbox@sandbox/dataset_cleanup

# --prune deletes the old processing.
$ reconciler apply dataset_cleanup --prune --yes --parallel 1
sandbox@sandbox/cleanup (dataset_cleanup)  http://sandbox
+ processing/cleanup  create  does not exist yet
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
├── + input/cleanup/archive  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATALAKE
│       required                   false
├── + input/cleanup/dataset  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 DATASET_VERSION
│       required                   true
├── + input/cleanup/embedding_model  create  does not exist yet
│       framework_constraint       ONNX
│       inference_type_constraint  null
│       input_type                 MODEL_VERSION
│       required                   false
├── + input/cleanup/report_title  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 TEXT
│       required                   false
└── + input/cleanup/sample_size  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  null
        input_type                 NUMBER
        required                   true
- processing/dataset_cleanup  delete  no longer in the files
├── - input/dataset_cleanup/archive  delete  no longer in the files
├── - input/dataset_cleanup/dataset  delete  no longer in the files
├── - input/dataset_cleanup/embedding_model  delete  no longer in the files
├── - input/dataset_cleanup/report_title  delete  no longer in the files
└── - input/dataset_cleanup/sample_size  delete  no longer in the files
Plan: 6 to create, 6 to delete, 1 unchanged.
Done: 6 created, 6 deleted.
| sandbox@sandbox/cleanup has no state, so the state of sandbox@sandbox/dataset_cleanup is used, the earlier stack of its folder; the next apply moves it to sandbox@sandbox/cleanup
| - deleted input/dataset_cleanup/archive
| - deleted input/dataset_cleanup/dataset
| - deleted input/dataset_cleanup/embedding_model
| - deleted input/dataset_cleanup/report_title
| - deleted input/dataset_cleanup/sample_size
| + created processing/cleanup
| - deleted processing/dataset_cleanup
| + created input/cleanup/archive
| + created input/cleanup/dataset
| + created input/cleanup/embedding_model
| + created input/cleanup/report_title
| + created input/cleanup/sample_size

$ reconciler state list
sandbox@sandbox/cleanup

$ reconciler state claims
image/registry/examples/dataset_cleanup  sandbox@sandbox/cleanup  since …  dataset_cleanup/config.toml:14
processing/cleanup  sandbox@sandbox/cleanup  since …  dataset_cleanup/config.toml:2

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/cleanup (dataset_cleanup)  http://sandbox
Nothing to do: 7 resources unchanged.

# The image of a training is renamed. It names the stack, so the same happens; images stay in the registry.
$ training clip

$ reconciler apply clip/training --yes --parallel 1
sandbox@sandbox/registry/team/training-clip (clip/training)  http://sandbox
+ image/registry/team/training-clip  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ model/clip  create  does not exist yet
    name  clip
└── + model-version/clip/v1  create  does not exist yet
        docker_flags              ["--gpus all", "--ipc host", "--name training"]
        docker_image              registry/team/training-clip
        docker_tag                latest
        framework                 PYTORCH
        name                      v1
        parameters.batch_size     8
        parameters.epochs         3
        parameters.image_size     224
        parameters.learning_rate  0.001
        type                      CLASSIFICATION
Plan: 3 to create.
Done: 3 created.
  model/clip  http://sandbox/model/…
  model-version/clip/v1  http://sandbox/model/version/…
| creating image/registry/team/training-clip
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/team/training-clip
| + created model/clip
| + created model-version/clip/v1

$ edit clip/training/config.toml 'team/training-clip' 'team/clip'

$ reconciler apply clip/training --yes --parallel 1
sandbox@sandbox/registry/team/clip (clip/training)  http://sandbox
+ image/registry/team/clip  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
~ model-version/clip/v1  update  the files changed
    docker_image  registry/team/training-clip -> registry/team/clip  pending: the files changed
. image/registry/team/training-clip  forget  no longer in the files; it stays in the registry
Plan: 1 to create, 1 to update, 1 to forget, 1 unchanged.
Done: 1 created, 1 updated, 1 forgotten.
  model-version/clip/v1  http://sandbox/model/version/…
| sandbox@sandbox/registry/team/clip has no state, so the state of sandbox@sandbox/registry/team/training-clip is used, the earlier stack of its folder; the next apply moves it to sandbox@sandbox/registry/team/clip
| creating image/registry/team/clip
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/team/clip
| ~ updated model-version/clip/v1
| . forgotten image/registry/team/training-clip

$ reconciler state list
sandbox@sandbox/cleanup
sandbox@sandbox/registry/team/clip

$ reconciler plan --all --exit-code
sandbox@sandbox/registry/team/clip (clip/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/cleanup (dataset_cleanup)  http://sandbox
Nothing to do: 7 resources unchanged.
