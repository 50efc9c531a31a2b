# Values for one environment, and the table of all environments.
$ example dataset_cleanup

$ edit dataset_cleanup/config.toml '# The sandbox' '[reconciler.env.CUSTOM.docker]\ncpu = 8\n\n[reconciler.env.PROD.docker]\ncpu = 64\n\n# The sandbox'

$ reconciler status dataset_cleanup
pipeline         environment              runs  applied  files  image  drift          last apply
dataset_cleanup  sandbox@sandbox  -     -        1.0.0  -      never applied  -
| info: sandbox@sandbox/dataset_cleanup was never applied
|   Apply it: reconciler apply dataset_cleanup --organization sandbox --env CUSTOM

$ reconciler apply dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
+ image/registry/examples/dataset_cleanup  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ processing/dataset_cleanup  create  does not exist yet
    default_cpu                         8
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

$ platform edit-processing dataset_cleanup default_cpu=9

$ reconciler status dataset_cleanup
pipeline         environment              runs   applied  files  image                drift    last apply
dataset_cleanup  sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  1 drift  just now by somebody

$ reconciler status dataset_cleanup --offline
pipeline         environment              runs  applied  files  image                drift        last apply
dataset_cleanup  sandbox@sandbox  -     1.0.0    1.0.0  sha256:…  not checked  just now by somebody

$ reconciler drift dataset_cleanup
sandbox@sandbox/dataset_cleanup  last applied … by somebody
  drift processing/dataset_cleanup#default_cpu  changed outside
    in the files      8
    last applied      8
    live              9
    set at            dataset_cleanup/config.toml:20
    changed           … by another-user
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target processing/dataset_cleanup
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM 'processing/dataset_cleanup#default_cpu'
Found: 1 drift. 0 pipelines in sync.
[11]
