# A sparse checkout leaves a folder out: it is no orphan. A folder that is deleted is one, committed or not.
$ git init .

$ git remote add origin git@example.com:team/shop.git

$ example dataset_cleanup

$ example computed_inputs

$ write .gitignore '*.db'

$ git add .

$ git commit -m 'Two pipelines'

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

$ git sparse-checkout set dataset_cleanup

$ reconciler drift --all
No drift. 1 pipeline in sync.

$ git sparse-checkout disable

$ remove computed_inputs

$ reconciler drift --all
sandbox@sandbox/computed_inputs  last applied … by somebody from …
  orphaned processing/computed_inputs  its folder computed_inputs is gone; 6 resources left
    delete its resources  reconciler destroy --stack computed_inputs --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/computed_inputs
Found: 1 orphaned. 1 pipeline in sync.
[11]

$ git add .

$ git commit -m 'Remove a pipeline'

$ reconciler drift --all
sandbox@sandbox/computed_inputs  last applied … by somebody from …
  orphaned processing/computed_inputs  its folder computed_inputs is gone; 6 resources left
    delete its resources  reconciler destroy --stack computed_inputs --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/computed_inputs
Found: 1 orphaned. 1 pipeline in sync.
[11]
