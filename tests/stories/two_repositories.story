# Two repositories share one store. Each reports its own stacks only.
$ git init shop

$ git -C shop remote add origin git@example.com:team/shop.git

$ git init lab

$ git -C lab remote add origin https://example.com/team/lab

$ example dataset_cleanup

$ example computed_inputs

$ move dataset_cleanup shop/dataset_cleanup

$ move computed_inputs lab/computed_inputs

$ copy lab/computed_inputs shop/second

$ edit shop/second/config.toml 'name = "computed_inputs"' 'name = "second"'

$ edit shop/second/config.toml 'examples/computed_inputs' 'examples/second'

$ cd shop

$ reconciler apply --all --yes --parallel 1
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
sandbox@sandbox/second  http://sandbox
+ image/registry/examples/second  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ processing/second  create  does not exist yet
    default_cpu                    4
    default_gpu                    1
    default_parameters.thresholds  {"model_1": 0.5, "model_2": 0.5, "model_3": 0.5}
    default_parameters.votes       2
    description                    Pre-annotates a dataset version with up to three models that vote.
    docker_flags                   ["--gpus=all", "--ipc=host"]
    docker_image                   registry/examples/second
    docker_tag                     latest
    target                         DATASET_VERSION
    type                           PRE_ANNOTATION
├── + input/second/dataset  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATASET_VERSION
│       required                   true
├── + input/second/model_1  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 MODEL_VERSION
│       required                   true
├── + input/second/model_2  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 MODEL_VERSION
│       required                   false
└── + input/second/model_3  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  OBJECT_DETECTION
        input_type                 MODEL_VERSION
        required                   false
Plan: 6 to create.
Done: 6 created.
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
| info: python lacks picsellia_cv_engine and picsellia_pipelines_cli, so the classes were read with built-in replacements
|   These behave like the official base classes. To use the official ones, run `uv sync` in the pipeline's folder, or choose another interpreter with --python.
| creating image/registry/examples/second
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/second
| + created processing/second
| + created input/second/dataset
| + created input/second/model_1
| + created input/second/model_2
| + created input/second/model_3

$ cd lab

$ reconciler apply --all --yes --parallel 1
sandbox@sandbox/computed_inputs  http://sandbox
+ image/registry/examples/computed_inputs  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ processing/computed_inputs  create  does not exist yet
    default_cpu                    4
    default_gpu                    1
    default_parameters.thresholds  {"model_1": 0.5, "model_2": 0.5, "model_3": 0.5}
    default_parameters.votes       2
    description                    Pre-annotates a dataset version with up to three models that vote.
    docker_flags                   ["--gpus=all", "--ipc=host"]
    docker_image                   registry/examples/computed_inputs
    docker_tag                     latest
    target                         DATASET_VERSION
    type                           PRE_ANNOTATION
├── + input/computed_inputs/dataset  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATASET_VERSION
│       required                   true
├── + input/computed_inputs/model_1  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 MODEL_VERSION
│       required                   true
├── + input/computed_inputs/model_2  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 MODEL_VERSION
│       required                   false
└── + input/computed_inputs/model_3  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  OBJECT_DETECTION
        input_type                 MODEL_VERSION
        required                   false
Plan: 6 to create.
Done: 6 created.
| info: python lacks picsellia_cv_engine and picsellia_pipelines_cli, so the classes were read with built-in replacements
|   These behave like the official base classes. To use the official ones, run `uv sync` in the pipeline's folder, or choose another interpreter with --python.
| creating image/registry/examples/computed_inputs
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/computed_inputs
| + created processing/computed_inputs
| + created input/computed_inputs/dataset
| + created input/computed_inputs/model_1
| + created input/computed_inputs/model_2
| + created input/computed_inputs/model_3

$ reconciler drift --all
No drift. 1 pipeline in sync.

$ remove shop/second

$ reconciler drift --all
No drift. 1 pipeline in sync.

$ cd shop

$ reconciler drift --all
sandbox@sandbox/second  last applied … by somebody
  orphaned processing/second  its folder second is gone; 6 resources left
    delete its resources  reconciler destroy --stack second --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/second
Found: 1 orphaned. 1 pipeline in sync.
[11]

$ cd lab

$ reconciler destroy --stack second --yes
| error: sandbox@sandbox/second is a stack of example.com/team/shop, and this workspace is example.com/team/lab
|   Run the command there. To run it here, use the full name: --stack 'sandbox@sandbox/second'
[12]

$ reconciler state forget --stack second --yes
| error: sandbox@sandbox/second is a stack of example.com/team/shop, and this workspace is example.com/team/lab
|   Run the command there. To run it here, use the full name: --stack 'sandbox@sandbox/second'
[12]

# The full name of the stack shows that it is meant.
$ reconciler destroy --stack sandbox@sandbox/second --yes --parallel 1
sandbox@sandbox/second  http://sandbox
. image/registry/examples/second  forget  not deleted by destroy; it stays in the registry
- processing/second  delete  destroyed, as requested
├── - input/second/dataset  delete  destroyed, as requested
├── - input/second/model_1  delete  destroyed, as requested
├── - input/second/model_2  delete  destroyed, as requested
└── - input/second/model_3  delete  destroyed, as requested
Plan: 5 to delete, 1 to forget.
Done: 5 deleted, 1 forgotten.
| . forgotten image/registry/examples/second
| - deleted input/second/dataset
| - deleted input/second/model_1
| - deleted input/second/model_2
| - deleted input/second/model_3
| - deleted processing/second
