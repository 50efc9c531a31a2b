# A required input is added: this breaks jobs of the processing. The pipeline requires a major version.
$ example dataset_cleanup

$ edit dataset_cleanup/config.toml '[metadata]' '[reconciler]\ncontract = "major"\n\n[metadata]'

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

$ edit dataset_cleanup/utils/inputs.py '        self.define_input(name="sample_size"' '        self.define_input(name="mask", input_type=ProcessingInputType.DATASET_VERSION)\n        self.define_input(name="sample_size"'

$ reconciler plan dataset_cleanup --bump minor --exit-code --markdown plan.md --out plan.json
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: utils/inputs.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.1.0                              pending: the files changed
+ input/dataset_cleanup/mask  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  null
    input_type                 DATASET_VERSION
    required                   true
Contract: 1 breaking change of its inputs.
  breaking  mask  new required input, so a job without it is refused  dataset_cleanup/utils/inputs.py:23
Plan: 1 to create, 1 to update, 6 unchanged.
| refused: processing/dataset_cleanup
|   a change of mask breaks jobs, and dataset_cleanup/config.toml:2 demands a major version for that; 1.1.0 follows 1.0.0
|     publish it as a new major version:  reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --bump major
|     or keep the inputs compatible, or set contract = "warn" there
| saved to plan.json
[12]

$ show plan.md breaking
| **breaking** | <code>mask</code> | new required input, so a job without it is refused <code>dataset_cleanup/utils/inputs.py:23</code> | <code>dataset_cleanup</code> |

$ show plan.json '"effect"'
      "effect": "breaking",

# The major version announces it.
$ reconciler apply dataset_cleanup --bump major --yes --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: utils/inputs.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 2.0.0                              pending: the files changed
+ input/dataset_cleanup/mask  create  does not exist yet
    framework_constraint       null
    inference_type_constraint  null
    input_type                 DATASET_VERSION
    required                   true
Contract: 1 breaking change of its inputs.
  breaking  mask  new required input, so a job without it is refused  dataset_cleanup/utils/inputs.py:23
Plan: 1 to create, 1 to update, 6 unchanged.
Done: 1 created, 1 updated.
  dataset_cleanup/config.toml now has version 2.0.0 and image_tag latest  commit this file
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 2.0.0
| ~ updated image/registry/examples/dataset_cleanup
| + created input/dataset_cleanup/mask

# An optional input is compatible, so a patch is enough.
$ edit dataset_cleanup/utils/inputs.py 'name="mask", input_type=ProcessingInputType.DATASET_VERSION)' 'name="mask", input_type=ProcessingInputType.DATASET_VERSION, required=False)'

$ reconciler apply dataset_cleanup --bump patch --yes --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: utils/inputs.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     2.0.0 -> 2.0.1                              pending: the files changed
~ input/dataset_cleanup/mask  update  the files changed
    required  true -> false  pending: the files changed
Contract: 1 compatible change of its inputs.
  compatible  mask  optional now  dataset_cleanup/utils/inputs.py:23
Plan: 2 to update, 6 unchanged.
Done: 2 updated.
  dataset_cleanup/config.toml now has version 2.0.1 and image_tag latest  commit this file
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 2.0.1
| ~ updated image/registry/examples/dataset_cleanup
| ~ updated input/dataset_cleanup/mask

# A rollback takes the input away again. That is shown, and not refused.
$ reconciler rollback dataset_cleanup --to 1.0.0 --yes --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  tag-moved: latest points at sha256:…; re-tagged, no build
    channel  latest          pending: the tag latest is at 2.0.1, not yet at this image
    version  2.0.1 -> 1.0.0  pending: differs from that state version
- input/dataset_cleanup/mask  delete  not in that state version
Contract: 1 breaking change of its inputs.
  breaking  mask  removed, so a job that gives it is refused
Plan: 1 to update, 1 to delete, 6 unchanged.
Done: 1 updated, 1 deleted.
| rolling back to version 1.0.0, applied … by somebody (serial …)
| updating image/registry/examples/dataset_cleanup
|   tag latest -> 1.0.0
| ~ updated image/registry/examples/dataset_cleanup
| - deleted input/dataset_cleanup/mask
|   your files are unchanged: the next apply brings their values back
