# Acknowledged drift is counted, and reported again after another change.
$ example dataset_cleanup

$ reconciler apply dataset_cleanup --parallel 1
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

$ platform edit-processing dataset_cleanup default_cpu=64 description="edited in a hurry"

$ platform add-input dataset_cleanup stray input_type=TEXT

$ reconciler drift dataset_cleanup --write-baseline --owner ann --reason "a trial until friday" --expires 2999-12-31
sandbox@sandbox/dataset_cleanup  last applied … by somebody
  drift input/dataset_cleanup/stray  added outside
    changed       … by another-user
    acknowledged  by ann until 2999-12-31: a trial until friday
  drift processing/dataset_cleanup#default_cpu  changed outside
    in the files  4
    last applied  4
    live          64
    set at        dataset_cleanup/config.toml:16
    changed       … by another-user
    acknowledged  by ann until 2999-12-31: a trial until friday
  drift processing/dataset_cleanup#description  changed outside
    in the files  Copies a dataset version without blurred and duplicated images.
    last applied  Copies a dataset version without blurred and duplicated images.
    live          edited in a hurry
    set at        dataset_cleanup/config.toml:4
    changed       … by another-user
    acknowledged  by ann until 2999-12-31: a trial until friday
Found: 3 acknowledged. 0 pipelines in sync.
| drift-baseline.toml: 3 findings acknowledged

$ show drift-baseline.toml address|field|owner|reason|expires
address = "input/dataset_cleanup/stray"
field = ""
owner = "ann"
reason = "a trial until friday"
expires = 2999-12-31
address = "processing/dataset_cleanup"
field = "default_cpu"
owner = "ann"
reason = "a trial until friday"
expires = 2999-12-31
address = "processing/dataset_cleanup"
field = "description"
owner = "ann"
reason = "a trial until friday"
expires = 2999-12-31

$ reconciler drift dataset_cleanup
sandbox@sandbox/dataset_cleanup  last applied … by somebody
  drift input/dataset_cleanup/stray  added outside
    changed       … by another-user
    acknowledged  by ann until 2999-12-31: a trial until friday
  drift processing/dataset_cleanup#default_cpu  changed outside
    in the files  4
    last applied  4
    live          64
    set at        dataset_cleanup/config.toml:16
    changed       … by another-user
    acknowledged  by ann until 2999-12-31: a trial until friday
  drift processing/dataset_cleanup#description  changed outside
    in the files  Copies a dataset version without blurred and duplicated images.
    last applied  Copies a dataset version without blurred and duplicated images.
    live          edited in a hurry
    set at        dataset_cleanup/config.toml:4
    changed       … by another-user
    acknowledged  by ann until 2999-12-31: a trial until friday
Found: 3 acknowledged. 0 pipelines in sync.
| using the acknowledgements in drift-baseline.toml

# Another change of the same field is reported. An acknowledgement may match nothing any more.
$ platform edit-processing dataset_cleanup default_cpu=65

$ platform delete-input dataset_cleanup stray

$ reconciler drift dataset_cleanup
sandbox@sandbox/dataset_cleanup  last applied … by somebody
  drift processing/dataset_cleanup#default_cpu  changed outside
    in the files      4
    last applied      4
    live              65
    set at            dataset_cleanup/config.toml:16
    changed           … by another-user
    apply the files   reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --target processing/dataset_cleanup
    adopt the change  reconciler adopt dataset_cleanup --organization sandbox --env CUSTOM 'processing/dataset_cleanup#default_cpu'
  drift processing/dataset_cleanup#description  changed outside
    in the files  Copies a dataset version without blurred and duplicated images.
    last applied  Copies a dataset version without blurred and duplicated images.
    live          edited in a hurry
    set at        dataset_cleanup/config.toml:4
    changed       … by another-user
    acknowledged  by ann until 2999-12-31: a trial until friday
Found: 1 drift, 1 acknowledged. 0 pipelines in sync.
| using the acknowledgements in drift-baseline.toml
| warning: the acknowledgement of input/dataset_cleanup/stray matches nothing
|   at drift-baseline.toml:4
|   It is in sync, or has another name. Remove the rule.
| warning: the acknowledgement of processing/dataset_cleanup#default_cpu is for another value
|   at drift-baseline.toml:14
|   Owner: ann. Reason: a trial until friday. The live value or the files changed again, so the finding is new again.
[11]

# Writing again keeps the rules that still match, and drops the others.
$ reconciler drift dataset_cleanup --write-baseline --owner bob --reason "a longer trial" --expires 2999-12-31
sandbox@sandbox/dataset_cleanup  last applied … by somebody
  drift processing/dataset_cleanup#default_cpu  changed outside
    in the files  4
    last applied  4
    live          65
    set at        dataset_cleanup/config.toml:16
    changed       … by another-user
    acknowledged  by bob until 2999-12-31: a longer trial
  drift processing/dataset_cleanup#description  changed outside
    in the files  Copies a dataset version without blurred and duplicated images.
    last applied  Copies a dataset version without blurred and duplicated images.
    live          edited in a hurry
    set at        dataset_cleanup/config.toml:4
    changed       … by another-user
    acknowledged  by ann until 2999-12-31: a trial until friday
Found: 2 acknowledged. 0 pipelines in sync.
| drift-baseline.toml: 2 findings acknowledged

$ show drift-baseline.toml address|field|owner
address = "processing/dataset_cleanup"
field = "description"
owner = "ann"
address = "processing/dataset_cleanup"
field = "default_cpu"
owner = "bob"

# apply ignores the baseline, and undoes acknowledged drift.
$ reconciler apply dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ processing/dataset_cleanup  update  changed outside
    default_cpu  65 -> 4  drift: changed outside
    description  edited in a hurry -> Copies a dataset version without blurred and duplicated images.  drift: changed outside
Plan: 1 to update, 6 unchanged. 2 fields changed outside.
Done: 1 updated.
| ~ updated processing/dataset_cleanup
